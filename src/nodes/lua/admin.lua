--[[
admin.lua: one step of admission, quarantine, takeover or adoption, by the rules of admin.ts.

KEYS[1] meta  KEYS[2] names  KEYS[3] record prefix  KEYS[4] marker prefix  KEYS[5] quarantine  KEYS[6] beside prefix
ARGV[1] operation: JSON object as ../admin.ts names it; `runId` is the process that this very connection reached
Returns JSON: {kind, ...}
]]
local op = cjson.decode(ARGV[1])
local time = redis.call('TIME')
now = time[1] * 1000000 + time[2]
longest = 0

local function answer(kind, more)
  more = more or {}
  more.kind = kind
  return cjson.encode(more)
end

local function lost(detail)
  return answer('lost', { detail = detail })
end

-- The meta's `stamp` is one text, so that a vote compares it at one stroke: see gate.lua.
local STAMP = '^([^\31]*)\31([^\31]*)\31([^\31]*)\31([^\31]*)\31([^\31]*)$'

local function stamp_of(schema, node, cluster, longest_ms, run)
  return schema .. '\31' .. node .. '\31' .. cluster .. '\31' .. longest_ms .. '\31' .. run
end

local function read_meta()
  local m = redis.call('HMGET', KEYS[1], 'stamp', 'durable', 'floor', 'suspect')
  if not m[1] then return nil end
  local schema, node, cluster, longest_ms, run = string.match(m[1], STAMP)
  return { schema = schema, nodeId = node, cluster = cluster, longestTtlMs = longest_ms, runId = run,
    durable = m[2], floor = m[3] or '0', suspectUntil = m[4] or '0' }
end

local function read_quarantine()
  local q = redis.call('HMGET', KEYS[5], 'id', 'run', 'why', 'adopted', 'longest', 'cluster')
  if not q[1] then return nil end
  return { id = q[1], runId = q[2], why = q[3], adopted = q[4], longestTtlMs = q[5], cluster = q[6] }
end

local meta, quarantine = read_meta(), read_quarantine()

local function state()
  return answer('state', { meta = read_meta(), quarantine = read_quarantine() })
end

-- Floor and suspicion are the node's own: they stand in the same hash, with or without a meta, and are kept.
local function write_meta(m)
  redis.call('HSET', KEYS[1], 'stamp', stamp_of(m.schema, m.nodeId, m.cluster, m.longestTtlMs, m.runId),
    'durable', m.durable and 1 or 0)
  redis.call('DEL', KEYS[5])
end

local function put_quarantine(adopted)
  redis.call('HSET', KEYS[5], 'id', op.id, 'run', op.runId, 'cluster', op.cluster, 'why', op.why, 'adopted', adopted,
    'longest', op.longestTtlMs)
end

local function under_quarantine(run, id)
  return quarantine and quarantine.runId == run and quarantine.id == id
end

local acts = {}

acts.read = state

function acts.quarantine()
  if meta and meta.runId == op.runId then return state() end
  if quarantine and quarantine.runId == op.runId then return state() end
  put_quarantine(0)
  return state()
end

function acts.create()
  if not under_quarantine(op.meta.runId, op.quarantineId) then return lost('the quarantine is another one') end
  if meta and meta.runId == op.meta.runId then return lost('this run has a meta') end
  write_meta(op.meta)
  return answer('done')
end

function acts.inherit()
  if not meta or meta.runId ~= op.previousRunId then return lost('the meta is of another run') end
  if meta.durable ~= '1' then return lost('the previous run was not durable') end
  redis.call('HSET', KEYS[1], 'stamp', stamp_of(meta.schema, meta.nodeId, meta.cluster, meta.longestTtlMs, op.runId),
    'durable', op.durable and 1 or 0)
  redis.call('DEL', KEYS[5])
  return answer('done')
end

function acts.durable()
  if not meta or meta.runId ~= op.runId then return lost('the meta is of another run') end
  redis.call('HSET', KEYS[1], 'durable', op.durable and 1 or 0)
  return answer('done')
end

function acts.suspect()
  if not meta or meta.runId ~= op.runId then return lost('the meta is of another run') end
  redis.call('HSET', KEYS[1], 'suspect', micros(now + meta.longestTtlMs * 1000))
  return answer('done')
end

-- A node that was adopted already has no meta any more, but still has the fences that a second try needs.
local function adopted()
  return not meta and quarantine and quarantine.adopted == '1' and quarantine.runId == op.runId
end

local function opener_of(r)
  if r.state == 'o' then return string.match(sub(r.body, 1, r.length), '^(.-)|') end
  if r.state == 'O' then return redis.call('HGET', r.key, 'o') end
  return ''
end

-- Nothing where there is none, or one that no token can be.
local function fence_entry(name)
  local r = load(name)
  if not r.number or not (r.number < 2 ^ 53) then return nil end
  return { r.name, fence_text(r), string.lower(r.state), opener_of(r) }
end

function acts.fences()
  if not adopted() and (not meta or meta.runId ~= op.runId) then return lost('the meta is of another run') end
  local from = '-'
  if op.after ~= '' then from = '(' .. op.after end
  local names = redis.call('ZRANGEBYLEX', KEYS[2], from, '+', 'LIMIT', 0, op.limit)
  local entries = {}
  for i = 1, #names do
    -- A record that cannot be read gets no vote here, and must not keep a node out that needs all the others.
    local read, entry = protected(fence_entry, names[i])
    if read and entry then entries[#entries + 1] = entry end
  end
  local next = ''
  if #names == op.limit then next = names[#names] end
  return answer('fences', { entries = entries, next = next, floor = redis.call('HGET', KEYS[1], 'floor') or '0' })
end

-- The higher token wins. Of equal ones only the same opener keeps it open: otherwise two leases could be granted it.
local function raise(name, token, state, opener)
  local r = load(name)
  local mine, theirs = r.number or -1, tonumber(token)
  if theirs < mine then return nil end
  if theirs == mine then
    if string.lower(r.state) ~= 'o' or (state == 'o' and opener == opener_of(r)) then return nil end
    state = state == 'o' and 'u' or state
  end
  -- An open fence brought from elsewhere was not opened by whoever holds or held here.
  set_fence(r, theirs, state == 'o' and 'O' or state)
  local wrote = save(r)
  if wrote then return wrote end
  redis.call('HSET', r.key, 'o', opener)
  return nil
end

function acts.takeover()
  if not under_quarantine(op.runId, op.quarantineId) then return lost('the quarantine is another one') end
  for i = 1, #op.entries do
    local read, wrote = protected(raise, unpack(op.entries[i]))
    if read and wrote then return answer('failed', { detail = wrote.err }) end
  end
  local known = redis.call('HGET', KEYS[1], 'floor') or '0'
  if tonumber(op.floor) > tonumber(known) then redis.call('HSET', KEYS[1], 'floor', op.floor) end
  return answer('done')
end

function acts.retire()
  if adopted() then return answer('done') end
  local retired = op.newCluster .. '.retired'
  if not meta or meta.runId ~= op.runId then return lost('the meta is of another run') end
  if meta.cluster == retired then return answer('done') end
  if meta.cluster ~= op.oldCluster then return lost('the node serves cluster ' .. meta.cluster) end
  redis.call('HSET', KEYS[1], 'stamp', stamp_of(meta.schema, meta.nodeId, retired, meta.longestTtlMs, meta.runId))
  return answer('done')
end

function acts.adopt()
  redis.call('HDEL', KEYS[1], 'stamp', 'durable')
  redis.call('DEL', KEYS[5])
  put_quarantine(1)
  return answer('done')
end

return acts[op.kind]()
