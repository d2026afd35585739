/** `once`: one makes a file, all get it. */
import type { Scenario, Step } from '../model.ts';

const two = { a: { owner: 'a' }, b: { owner: 'b' } };
const once = (by: string): Step => ({
  by,
  do: 'once',
  as: `${by}1`,
  with: { key: '~/model', path: '$run.file', text: `made by ${by}` },
  later: true,
});
const making = (by: string, shows?: Step['shows']): Step => ({
  by,
  do: 'told',
  of: `${by}1`,
  with: { event: 'making' },
  until: { times: 1 },
  ...(shows && { shows }),
});
const waits: Step = {
  by: 'outside',
  do: 'inspect',
  with: { name: '~/model' },
  until: { holders: [{ owner: 'a' }], waiters: [{ owner: 'b' }] },
  shows: 'exclusion',
};

export const files: readonly Scenario[] = [
  {
    name: 'a file is made by one, and the others wait and get it',
    stage: 'calm',
    clients: two,
    steps: [
      once('a'),
      making('a'),
      once('b'),
      waits,
      { by: 'a', do: 'finish', of: 'a1' },
      { by: 'a', do: 'answer', of: 'a1', gives: { made: true, text: 'made by a' } },
      { by: 'b', do: 'answer', of: 'b1', gives: { made: false, text: 'made by a' } },
      { by: 'b', do: 'told', of: 'b1', with: { event: 'making' }, gives: { times: 0 } },
    ],
  },
  {
    name: 'a file whose maker failed is made by the next in line',
    stage: 'calm',
    clients: two,
    steps: [
      once('a'),
      making('a'),
      once('b'),
      waits,
      { by: 'a', do: 'finish', of: 'a1', with: { error: 'the download broke' } },
      { by: 'a', do: 'answer', of: 'a1', fails: { error: 'Error', message: 'the download broke' } },
      making('b', 'release'),
      { by: 'b', do: 'finish', of: 'b1' },
      { by: 'b', do: 'answer', of: 'b1', gives: { made: true, text: 'made by b' } },
    ],
  },
];
