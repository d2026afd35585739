--[[
votes.lua: answers one batch of operations, each by the rules of node.ts, one after the other.

KEYS[1] meta  KEYS[2] names  KEYS[3] record prefix  KEYS[4] marker prefix  KEYS[5] quarantine
ARGV[1] stamp: JSON [schema, nodeId, cluster, runId, longestTtlMs] of the proposer; runId is the process that this
        very connection reached
ARGV[2] constants: JSON [lead, slack, fenceAge, requestMemory] in microseconds
ARGV[3] operations: JSON array, each [kind, ...] as ../wire.ts writes it
Returns [node time in microseconds, answer, answer, ...]; an answer is a bare word or a JSON array.
]]
local stamp = cjson.decode(ARGV[1])
local constants = cjson.decode(ARGV[2])
local LEAD, SLACK, AGE = constants[1], constants[2], constants[3]
local time = redis.call('TIME')
now = time[1] * 1000000 + time[2]
longest = stamp[5] * 1000
local MEMORY = math.max(constants[4], 2 * longest)

-- Step 1: what stops this node from voting. `amnesia` and `suspect` do not stop a release.
local function gate()
  local meta = redis.call('HMGET', KEYS[1], 'schema', 'node', 'cluster', 'run', 'longest', 'suspect', 'floor')
  if not meta[1] then return 'amnesia', 'no meta', 0 end
  if meta[1] ~= tostring(stamp[1]) then return 'config', 'schema ' .. meta[1], 0 end
  if meta[2] ~= stamp[2] then return 'config', 'node id ' .. meta[2], 0 end
  if meta[3] ~= stamp[3] then return 'config', 'cluster ' .. meta[3], 0 end
  if tonumber(meta[5]) ~= stamp[5] then return 'config', 'longest ttl ' .. meta[5] .. ' ms', 0 end
  local floor = tonumber(meta[7])
  if meta[4] ~= stamp[4] then return 'amnesia', 'meta of another run', floor end
  local suspect = tonumber(meta[6])
  if suspect > now + longest then
    suspect = now + longest
    redis.pcall('HSET', KEYS[1], 'suspect', micros(suspect))
  end
  if suspect > now then return 'suspect', 'clock jumped', floor end
  return nil, nil, floor, meta[7]
end
local closed, closed_detail, floor, floor_text = gate()
floor_text = floor_text or micros(floor)

local function silent(why, detail)
  return cjson.encode({ '!', why, detail })
end

local function full(wrote)
  if string.find(wrote.err, 'OOM', 1, true) then return silent('full', wrote.err) end
  return silent('error', wrote.err)
end

local function load_all(names)
  local records = {}
  for i = 1, #names do
    records[i] = load(names[i])
    settle(records[i], MEMORY)
  end
  return records
end

local function save_all(records)
  for i = 1, #records do
    local wrote = save(records[i])
    if wrote then return wrote end
  end
  return nil
end

-- Keeps what step 2 changed; if even that finds no memory the next operation will settle it again.
local function answer(records, text)
  save_all(records)
  return text
end

-- Rule d: is `token` refused by the record's fence, and by which?
local function stale(r, token, secret)
  if r.fence == '' then
    if token <= floor then return floor, floor_text end
    return nil
  end
  local fence = tonumber(r.fence)
  if token < fence or (token == fence and (r.state ~= 'o' or r.opener ~= secret)) then return fence, r.fence end
  return nil
end

-- Rules b, c and d, shared by hold and repair; nil when nothing stands against it.
local function objection(records, value, token, secret)
  local same, holders = 0, {}
  for i = 1, #records do
    local r = records[i]
    if r.value == value then same = same + 1 end
    if r.value ~= '' then holders[#holders + 1] = holder_of(r) end
  end
  if same == #records then return 'd' end
  if #holders > 0 then return cjson.encode({ 'c', holders }) end
  local highest, highest_text
  for i = 1, #records do
    local fence, text = stale(records[i], token, secret)
    if fence and (not highest or fence > highest) then highest, highest_text = fence, text end
  end
  if highest then return cjson.encode({ 's', highest_text }) end
  return nil
end

-- Rule a: what is known of this request id.
local function remembered(records, mkey, mdigest, secret)
  if mkey == '' then return nil end
  local known = redis.call('HMGET', KEYS[4] .. mkey, 'value', 'digest', 'why', 'until')
  local value = known[1]
  if not value then return nil end
  if known[3] and tonumber(known[4]) <= now then return nil end
  if known[2] ~= mdigest then return 'x' end
  if known[3] then return cjson.encode({ 'E', value, known[3] }) end
  -- Its holder may stand under other names only if the digest differs, so its first resource is one of ours.
  for i = 1, #records do
    local r = records[i]
    if r.value == value then
      if string.match(value, '^(.-)|') == secret then return nil end
      r.binding = r.binding + 1
      r.dirty = true
      for j = 1, #records do
        if j ~= i and records[j].value == value then
          records[j].binding = r.binding
          records[j].dirty = true
        end
      end
      local wrote = save_all(records)
      if wrote then return full(wrote) end
      return cjson.encode({ 'p', value, holder_of(r) })
    end
  end
  return cjson.encode({ 'E', value, 'unknown' })
end

local function take(r, op)
  r.value, r.ref, r.owner, r.card = op.value, op.ref, op.owner, op.card
  r.expiry = now + op.ttl * 1000
  r.binding, r.progress = op.binding, op.progress
  r.mkey, r.mdigest = op.mkey, op.mdigest
  r.fence, r.state, r.opener = op.token, 'o', op.secret
  event(r, op.event, op.token, op.ref, op.owner, '')
end

-- Writes all or nothing: the first write is the only one that a full memory can refuse.
local function take_all(records, op)
  for i = 1, #records do take(records[i], op) end
  local wrote = save_all(records)
  if wrote then return full(wrote) end
  if op.mkey ~= '' then
    local key = KEYS[4] .. op.mkey
    if op.event == 'held' then
      redis.call('DEL', key)
      redis.call('HSET', key, 'value', op.value, 'digest', op.mdigest)
    else
      local known = redis.call('HMGET', key, 'value', 'why', 'until')
      if not known[1] or (known[2] and tonumber(known[3]) <= now) then
        redis.call('DEL', key)
        redis.call('HSET', key, 'value', op.value, 'digest', op.mdigest)
      end
    end
  end
  return 'h'
end

local function hold(o)
  local op = { secret = o[2], token = o[3], value = o[4], ref = o[5], ttl = o[7], owner = o[8], card = o[9],
    mkey = o[11], mdigest = o[12], binding = 0, progress = '', event = 'held' }
  local records = load_all(o[6])
  local known = remembered(records, op.mkey, op.mdigest, op.secret)
  if known then return answer(records, known) end
  local token = tonumber(op.token)
  local against = objection(records, op.value, token, op.secret)
  if against then return answer(records, against) end
  local seen = tonumber(o[10])
  for i = 1, #records do
    local fence = tonumber(records[i].fence) or 0
    if token > math.max(now + LEAD, fence + SLACK, seen + SLACK) then return answer(records, 'a') end
  end
  return take_all(records, op)
end

local function repair(o)
  local op = { secret = o[2], token = o[3], value = o[4], ref = o[5], ttl = o[7], owner = o[8], card = o[9],
    binding = o[10], progress = o[11], mkey = o[12], mdigest = o[13], event = 'renewed' }
  local records = load_all(o[6])
  local against = objection(records, op.value, tonumber(op.token), op.secret)
  if against then return answer(records, against) end
  return take_all(records, op)
end

-- Why the lease is gone, from the newest event that names it.
local function why_missing(r, ref)
  local stored = redis.call('HGETALL', r.key)
  local at, newest = -1, nil
  for i = 1, #stored, 2 do
    local slot = tonumber(stored[i])
    if slot then
      local kind, _, _, named = string.match(stored[i + 1], '^([^\31]*)\31([^\31]*)\31([^\31]*)\31([^\31]*)\31')
      -- The ring's age order: slots up to the newest belong to this turn, later ones to the turn before.
      local age = (r.count - 1 - slot) % RING
      if named == ref and (at == -1 or age < at) then at, newest = age, kind end
    end
  end
  if newest == 'released' or newest == 'undone' then return 'released' end
  if newest == 'forced' or newest == 'expired' then return newest end
  return 'unknown'
end

local function renew(o)
  local value, ref, token, ttl, progress = o[2], o[3], o[4], o[6], o[7]
  local records = load_all(o[5])
  for i = 1, #records do
    if records[i].value ~= value then
      save_all(records)
      return cjson.encode({ 'm', why_missing(records[1], ref) })
    end
  end
  for i = 1, #records do
    local r = records[i]
    r.expiry = math.max(r.expiry, now + ttl * 1000)
    if progress ~= '' then r.progress = progress end
    event(r, 'renewed', token, ref, r.owner, '')
  end
  local wrote = save_all(records)
  if wrote then return full(wrote) end
  return cjson.encode({ 'e', holder_of(records[1]), records[1].mkey, records[1].mdigest })
end

-- Raises the fence to (token, why) unless it is higher already.
local function close_held(r, token, why)
  if r.fence == '' or tonumber(r.fence) <= tonumber(token) then
    r.fence, r.state = token, STATE[why]
  end
end

-- What a release does to a resource that it holds. HDEL comes first: it is not refused when memory is full, and
-- after a first write Redis lets the script finish. So a full node can still let go.
local function let_go(r, token, why, reason)
  redis.call('HDEL', r.key, '-')
  local mkey, value = r.mkey, r.value
  close_held(r, token, why)
  event(r, why, token, r.ref, r.owner, reason)
  vacate(r)
  if mkey ~= '' then
    if why == 'undone' then
      if redis.call('HGET', KEYS[4] .. mkey, 'value') == value then redis.call('DEL', KEYS[4] .. mkey) end
    else
      end_marker(mkey, value, why, MEMORY)
    end
  end
  return save(r)
end

-- Closing where nothing matched: a late vote of this token must find the door shut.
local function close_unheld(r, token, secret, why, seen)
  local number, fence = tonumber(token), tonumber(r.fence)
  if number > math.max(now + LEAD, (fence or 0) + SLACK, seen + SLACK) then return nil end
  if fence then
    if number < fence or (number == fence and (r.opener ~= secret or r.state ~= 'o')) then return nil end
    if number > fence then r.opener = secret end
  else
    if number <= floor then return nil end
    r.opener = secret
  end
  redis.call('HDEL', r.key, '-')
  r.fence, r.state, r.dirty = token, STATE[why], true
  return save(r)
end

local function release(o)
  local secret, token, value, names, why, reason = o[2], o[3], o[4], o[6], o[8], o[9]
  local closing, binding, seen, mkey = o[10] == 1, o[11], tonumber(o[12]), o[13]
  local records = load_all(names)
  local matched, wrote = false, nil
  for i = 1, #records do
    local r = records[i]
    if r.value == value then
      -- A newer binding: the lease was taken over since, and whoever sent this no longer speaks for it.
      if binding < 0 or r.binding <= binding then
        matched = true
        wrote = wrote or let_go(r, token, why, reason)
      end
    elseif closing then
      wrote = wrote or close_unheld(r, token, secret, why, seen)
    end
  end
  if mkey ~= '' and why == 'undone' then
    local key = KEYS[4] .. mkey
    if redis.call('HGET', key, 'value') == value then
      local held = false
      for i = 1, #records do held = held or records[i].value == value end
      if not held then redis.call('DEL', key) end
    end
  end
  if wrote then return full(wrote) end
  save_all(records)
  if matched then return 'R' end
  if closed == 'amnesia' then return silent(closed, closed_detail) end
  return 'r'
end

local function force(o)
  local name, ref, reason = o[2], o[3], o[4]
  local first = load(name)
  settle(first, MEMORY)
  if first.value == '' or (ref ~= '' and first.ref ~= ref) then
    save(first)
    if closed == 'amnesia' then return silent(closed, closed_detail) end
    return cjson.encode({ 'f', '', false })
  end
  local value, before = first.value, holder_of(first)
  local named = cjson.decode(first.card).resources or {}
  local token = token_of(value)
  local wrote = let_go(first, token, 'forced', reason)
  for i = 1, #named do
    if named[i] ~= name then
      local other = load(named[i])
      settle(other, MEMORY)
      if other.value == value then
        wrote = wrote or let_go(other, token, 'forced', reason)
      else
        save(other)
      end
    end
  end
  if wrote then return full(wrote) end
  return cjson.encode({ 'f', value, before })
end

-- Newest first.
local function history_of(r, most)
  local events = {}
  for back = 0, math.min(most, r.count, RING) - 1 do
    local stored = redis.call('HGET', r.key, (r.count - 1 - back) % RING)
    if not stored then break end
    events[#events + 1] = stored
  end
  return events
end

local function view(r, history)
  local holder = false
  if r.value ~= '' and r.expiry > now then
    r.expiry = math.min(r.expiry, now + longest)
    holder = holder_of(r)
  end
  return { r.name, holder, r.fence, r.state, history_of(r, history) }
end

local function look(o)
  local r = load(o[2])
  if r.fresh then return cjson.encode({ 'v', false }) end
  return cjson.encode({ 'v', view(r, o[3]) })
end

local function range_after(after, prefix, limit)
  local from = '-'
  if after ~= '' and (prefix == '' or after >= prefix) then
    from = '(' .. after
  elseif prefix ~= '' then
    from = '[' .. prefix
  end
  local to = '+'
  if prefix ~= '' then to = '(' .. prefix .. '\255' end
  return redis.call('ZRANGEBYLEX', KEYS[2], from, to, 'LIMIT', 0, limit)
end

local function list(o)
  local names = range_after(o[3], o[2], o[4] + 1)
  local views = {}
  for i = 1, math.min(#names, o[4]) do views[i] = view(load(names[i]), 0) end
  return cjson.encode({ 'l', views, #names > o[4] })
end

local function sweep(o)
  local limit, expired, dropped = o[3], 0, 0
  local names = range_after(o[2], '', limit)
  for i = 1, #names do
    local r = load(names[i])
    local held = r.value ~= ''
    settle(r, MEMORY)
    if held and r.value == '' then expired = expired + 1 end
    local fence = tonumber(r.fence)
    if r.value == '' and fence and fence + AGE < now then
      if fence > floor then
        floor, floor_text = fence, r.fence
        -- Before the fence goes, so that no moment exists without either.
        redis.call('HSET', KEYS[1], 'floor', r.fence)
      end
      redis.call('DEL', r.key)
      redis.call('ZREM', KEYS[2], r.name)
      dropped = dropped + 1
    else
      save(r)
    end
  end
  local next = ''
  if #names == limit then next = names[#names] end
  return cjson.encode({ 'w', next, expired, dropped })
end

local ACTS = { h = hold, n = renew, p = repair, r = release, f = force, v = look, l = list, w = sweep,
  g = function() return 'g' end }
local LETS_GO = { r = true, f = true }
local READS = { v = true, l = true, w = true }

local function may(kind)
  if not closed then return true end
  if closed == 'config' then return false end
  if LETS_GO[kind] then return true end
  return closed == 'suspect' and READS[kind] == true
end

local answers = { micros(now) }
local operations = cjson.decode(ARGV[3])
for i = 1, #operations do
  local o = operations[i]
  if may(o[1]) then
    answers[i + 1] = ACTS[o[1]](o)
  else
    answers[i + 1] = silent(closed, closed_detail)
  end
end
return answers
