--[[
admin.lua: one step of admission, quarantine, takeover or adoption, by the rules of admin.ts.

KEYS[1] meta  KEYS[2] names  KEYS[3] record prefix  KEYS[4] marker prefix  KEYS[5] quarantine
ARGV[1] operation: JSON object as ../admin.ts names it; `runId` is the process that this very connection reached
Returns JSON: {kind, ...}
]]
local op = cjson.decode(ARGV[1])
local time = redis.call('TIME')
now = time[1] * 1000000 + time[2]
longest = 0

local META = { 'schema', 'node', 'cluster', 'run', 'durable', 'longest', 'floor', 'suspect' }

local function answer(kind, more)
  more = more or {}
  more.kind = kind
  return cjson.encode(more)
end

local function lost(detail)
  return answer('lost', { detail = detail })
end

local function read_meta()
  local m = redis.call('HMGET', KEYS[1], unpack(META))
  if not m[1] then return nil end
  return { schema = m[1], nodeId = m[2], cluster = m[3], runId = m[4], durable = m[5], longestTtlMs = m[6],
    floor = m[7], suspectUntil = m[8] }
end

local function read_quarantine()
  local q = redis.call('HMGET', KEYS[5], 'id', 'run', 'why', 'adopted', 'longest')
  if not q[1] then return nil end
  return { id = q[1], runId = q[2], why = q[3], adopted = q[4], longestTtlMs = q[5] }
end

local meta, quarantine = read_meta(), read_quarantine()

local function state()
  return answer('state', { meta = read_meta(), quarantine = read_quarantine() })
end

-- A node keeps its own floor and never lowers it; a quarantine may have raised one before there was a meta.
local function write_meta(m)
  local floor = redis.call('HGET', KEYS[1], 'floor') or redis.call('HGET', KEYS[5], 'floor') or '0'
  local brought = redis.call('HGET', KEYS[5], 'floor')
  if brought and tonumber(brought) > tonumber(floor) then floor = brought end
  redis.call('HSET', KEYS[1], 'schema', m.schema, 'node', m.nodeId, 'cluster', m.cluster, 'run', m.runId,
    'durable', m.durable and 1 or 0, 'longest', m.longestTtlMs, 'floor', floor, 'suspect', 0)
  redis.call('DEL', KEYS[5])
end

local function put_quarantine(adopted)
  redis.call('HSET', KEYS[5], 'id', op.id, 'run', op.runId, 'why', op.why, 'adopted', adopted, 'longest',
    op.longestTtlMs)
end

local function under_quarantine(run, id)
  return quarantine and quarantine.runId == run and quarantine.id == id
end

local acts = {}

acts.read = state

function acts.quarantine()
  if meta and meta.runId == op.runId then return state() end
  if quarantine and quarantine.runId == op.runId then return state() end
  -- What an earlier run brought as floor stays: a floor is never lowered.
  put_quarantine(0)
  return state()
end

function acts.create()
  if not under_quarantine(op.meta.runId, op.quarantineId) then return lost('the quarantine is another one') end
  if meta and meta.runId == op.meta.runId then return lost('this run has a meta') end
  write_meta(op.meta)
  return answer('done')
end

function acts.bootstrap()
  if meta then return lost('there is a meta') end
  if quarantine then return lost('there is a quarantine') end
  write_meta(op.meta)
  return answer('done')
end

function acts.inherit()
  if not meta or meta.runId ~= op.previousRunId then return lost('the meta is of another run') end
  if meta.durable ~= '1' then return lost('the previous run was not durable') end
  redis.call('HSET', KEYS[1], 'run', op.runId, 'durable', op.durable and 1 or 0)
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

function acts.fences()
  if not meta or meta.runId ~= op.runId then return lost('the meta is of another run') end
  local from = '-'
  if op.after ~= '' then from = '(' .. op.after end
  local names = redis.call('ZRANGEBYLEX', KEYS[2], from, '+', 'LIMIT', 0, op.limit)
  local entries = {}
  for i = 1, #names do
    local r = load(names[i])
    if r.fence ~= '' then entries[#entries + 1] = { r.name, r.fence, r.state, r.opener } end
  end
  local next = ''
  if #names == op.limit then next = names[#names] end
  return answer('fences', { entries = entries, next = next, floor = meta.floor })
end

function acts.takeover()
  if not under_quarantine(op.runId, op.quarantineId) then return lost('the quarantine is another one') end
  for i = 1, #op.entries do
    local name, token, fence_state, opener = unpack(op.entries[i])
    local r = load(name)
    local mine, theirs = tonumber(r.fence) or -1, tonumber(token)
    if theirs > mine or (theirs == mine and r.state == 'o' and fence_state ~= 'o') then
      r.fence, r.state, r.opener, r.dirty = token, fence_state, opener, true
      local wrote = save(r)
      if wrote then return answer('failed', { detail = wrote.err }) end
    end
  end
  local known = redis.call('HGET', KEYS[5], 'floor') or '0'
  if tonumber(op.floor) > tonumber(known) then redis.call('HSET', KEYS[5], 'floor', op.floor) end
  return answer('done')
end

function acts.retire()
  local retired = op.newCluster .. '.retired'
  if not meta or meta.runId ~= op.runId then return lost('the meta is of another run') end
  if meta.cluster == retired then return answer('done') end
  if meta.cluster ~= op.oldCluster then return lost('the node serves cluster ' .. meta.cluster) end
  redis.call('HSET', KEYS[1], 'cluster', retired)
  return answer('done')
end

function acts.adopt()
  local floor = redis.call('HGET', KEYS[1], 'floor')
  redis.call('DEL', KEYS[1], KEYS[5])
  put_quarantine(1)
  if floor then redis.call('HSET', KEYS[5], 'floor', floor) end
  return answer('done')
end

return acts[op.kind]()
