--[[
record.lua: loads, changes and saves what this node remembers of one resource.

Part of both scripts after layout.lua (concatenated by ../scripts.ts); uses KEYS[3] (layout.lua) and
  KEYS[2] names    sorted set of all resources with a record, scores 0
  KEYS[4] marker   prefix of the hashes that remember request ids
and `now` and `longest` (both microseconds), set by the script that includes it.
]]
-- `apart`: a copy that nobody else sees, for those who only look.
local function load(name, apart)
  local known = not apart and loaded[name]
  if known then return known end
  local key = PREFIX .. name
  local stored = call('HGET', key, 's')
  if not stored then
    local r = { name = name, key = key, fresh = true, number = nil, expiry = 0, binding = 0, slot = 0, flags = 0,
      state = '-' }
    if not apart then loaded[name] = r end
    return r
  end
  local expiry, slot, flags, state, binding, number, from, length, till = unpack_header(HEADER, stored)
  local r = { name = name, key = key, number = number, expiry = expiry, binding = binding, slot = slot, flags = flags,
    state = state, value = nil, body = nil, from = from, length = length, till = till }
  if number < 0 then r.number = nil end
  if length > 0 then
    r.body = sub(stored, TAIL)
    if expiry > 0 then r.value = sub(r.body, 1, length) end
  end
  if not apart then loaded[name] = r end
  return r
end

local function head_of(r)
  return sub(r.body, r.from, r.till)
end

local function has(flags, flag)
  return flags % (2 * flag) >= flag
end

local function fence_text(r)
  return r.number and micros(r.number) or '-'
end

local function marker_of(r)
  if r.flags == 0 or not has(r.flags, MARKED) then return '', '' end
  return string.match(call('HGET', r.key, 'm'), '^([^\31]*)\31(.*)$')
end

-- What raises a fence raises it as a writer's, unless it is a reader that takes (take_all).
local function set_fence(r, number, state)
  if has(r.flags, READ) and number ~= r.number then r.flags = r.flags - READ end
  r.number, r.state, r.dirty = number, state, true
end

-- Made by later parts: what a record has beside it is written and told by them.
local write_readers, wake

-- How each event of this batch begins.
local beginnings = {}

-- Appends to the ring; a renewal replaces a newest event that is one (between two leases stands another event).
-- `head` is "TOKEN\31REF\31OWNER"; `left` what remains of the lease in microseconds.
local function event(r, kind, head, reason, left)
  local begins = beginnings[kind]
  if not begins then
    begins = kind .. '\31' .. micros(now) .. '\31'
    beginnings[kind] = begins
  end
  if r.event then
    r.earlier = r.earlier or {}
    r.earlier[#r.earlier + 1] = { r.at, r.event }
  end
  local slot, flags = r.slot, r.flags
  local renewal, renewed = kind == 'renewed', flags > 0 and has(flags, RENEWED)
  if renewal and renewed then
    r.at = slot_name((slot - 1) % RING)
  else
    r.at = slot_name(slot)
    r.slot = (slot + 1) % RING
  end
  if renewal ~= renewed then r.flags = flags + (renewal and RENEWED or -RENEWED) end
  r.event = begins .. head .. '\31' .. reason
  r.dirty = true
  if watched then
    r.news = r.news or {}
    r.news[#r.news + 1] = r.name .. '\31' .. r.event .. '\31' .. math.floor((left or 0) / 1000)
  end
end

-- Writes the record with its new events; answers an error table when the node's memory is full. The first write of
-- a script is the only one that a full memory can refuse.
local function save(r)
  if not r.dirty then
    if r.moved then wake(r) end
    return nil
  end
  local body, from, length, till = '', 0, 0, 0
  if r.value or r.state == 'o' then body, from, length, till = r.body, r.from, r.length, r.till end
  local header = pack(RECORD, r.expiry, r.slot, r.flags, r.state, r.binding, r.number or -1, from, length, till, body)
  local wrote
  if r.event then
    wrote = pcall('HSET', r.key, 's', header, r.at, r.event)
  else
    wrote = pcall('HSET', r.key, 's', header)
  end
  if type(wrote) == 'table' and wrote.err then return wrote end
  if r.earlier then
    for i = 1, #r.earlier do call('HSET', r.key, r.earlier[i][1], r.earlier[i][2]) end
  end
  if r.fresh then call('ZADD', KEYS[2], 0, r.name) end
  r.dirty, r.fresh, r.event, r.earlier = nil, nil, nil, nil
  if r.readers then write_readers(r) end
  if r.news then
    for i = 1, #r.news do pcall('PUBLISH', BESIDE .. 'news', r.news[i]) end
    r.news = nil
  end
  if r.moved then wake(r) end
  return nil
end

local function vacate(r)
  r.value, r.expiry, r.binding, r.dirty, r.moved = nil, 0, 0, true, true
  if r.flags > 0 then r.flags = r.flags - r.flags % RENEWED end
end

-- A request id that has ended is remembered for a while, so that a late repeat does not lock again.
local function end_marker(mkey, value, why, memory)
  if mkey == '' then return end
  local key = KEYS[4] .. mkey
  local known = call('HMGET', key, 'value', 'until')
  if known[1] ~= value or (known[2] and tonumber(known[2]) <= now) then return end
  local wrote = pcall('HSET', key, 'why', why, 'until', micros(now + memory))
  if type(wrote) == 'table' and wrote.err then return end
  -- Garbage collection only, with a minute to spare: the rule itself reads `until`.
  call('PEXPIRE', key, math.floor(memory / 1000) + 60000)
end
