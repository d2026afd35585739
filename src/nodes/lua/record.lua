--[[
record.lua: loads, changes and saves what this node remembers of one resource.

Part of votes.lua and fences.lua (concatenated by ../scripts.ts); has no KEYS of its own but uses
  KEYS[2] names    sorted set of all resources with a record, scores 0
  KEYS[3] record   prefix of the hashes, one a resource: field `s` is the packed record, `0`..`63` the history ring
  KEYS[4] marker   prefix of the hashes that remember request ids

A packed record is 14 texts, each ended by \31 (a control character that no name, owner or card may contain):
  fence token, fence state (o r f u), opener, events so far, newest event's type and lease ref,
  value, lease ref, owner, expiry, binding, card, progress, marker key, marker digest
Tokens are compared as numbers (exact below 2^53, which is the year 2255) and only ever stored as the text that
came in: Lua would print 10^14 as 1e+14.
]]
-- Set by the script that includes this: its clock, and the longest ttl, both in microseconds.
local now, longest
local RING = 64
local PACKED = '^' .. string.rep('([^\31]*)\31', 14) .. '$'
local STATE = { released = 'r', forced = 'f', undone = 'u' }

local function micros(number)
  return string.format('%.0f', number)
end

local function load(name)
  local key = KEYS[3] .. name
  local raw = redis.call('HGET', key, 's')
  if not raw then
    return { name = name, key = key, fresh = true, fence = '', state = '', opener = '', count = 0, newest = '',
      value = '', events = {} }
  end
  local fence, state, opener, count, newest, value, ref, owner, expiry, binding, card, progress, mkey, mdigest =
    string.match(raw, PACKED)
  return { name = name, key = key, fence = fence, state = state, opener = opener, count = tonumber(count),
    newest = newest, value = value, ref = ref, owner = owner, expiry = tonumber(expiry) or 0,
    binding = tonumber(binding) or 0, card = card, progress = progress, mkey = mkey, mdigest = mdigest, events = {} }
end

-- Writes the record with its new events in one HSET; answers an error table when the node's memory is full.
local function save(r)
  if not r.dirty then return nil end
  local packed
  if r.value == '' then
    packed = table.concat({ r.fence, r.state, r.opener, r.count, r.newest, '', '', '', '', '', '', '', '', '', '' }, '\31')
  else
    packed = table.concat({ r.fence, r.state, r.opener, r.count, r.newest, r.value, r.ref, r.owner, micros(r.expiry),
      r.binding, r.card, r.progress, r.mkey, r.mdigest, '' }, '\31')
  end
  local wrote
  if #r.events == 0 then
    wrote = redis.pcall('HSET', r.key, 's', packed)
  elseif #r.events == 2 then
    wrote = redis.pcall('HSET', r.key, 's', packed, r.events[1], r.events[2])
  else
    wrote = redis.pcall('HSET', r.key, 's', packed, unpack(r.events))
  end
  if type(wrote) == 'table' and wrote.err then return wrote end
  if r.fresh then
    redis.call('ZADD', KEYS[2], 0, r.name)
    r.fresh = false
  end
  r.dirty = false
  r.events = {}
  return nil
end

-- Appends to the ring; a renewal replaces a newest event that is a renewal of the same lease.
local function event(r, kind, token, ref, owner, reason)
  local newest = kind .. ref
  if not (kind == 'renewed' and r.newest == newest) then
    r.count = r.count + 1
    r.newest = newest
  end
  local at = #r.events
  r.events[at + 1] = (r.count - 1) % RING
  r.events[at + 2] = table.concat({ kind, micros(now), token, ref, owner, reason, '' }, '\31')
  r.dirty = true
end

local function token_of(value)
  return string.match(value, '|(%d+)$')
end

local function vacate(r)
  r.value = ''
  r.dirty = true
end

-- A request id that has ended is remembered for a while, so that a late repeat does not lock again.
local function end_marker(mkey, value, why, memory)
  if mkey == '' then return end
  local key = KEYS[4] .. mkey
  if redis.call('HGET', key, 'value') ~= value then return end
  local wrote = redis.pcall('HSET', key, 'why', why, 'until', micros(now + memory))
  if type(wrote) == 'table' and wrote.err then return end
  -- Garbage collection only, with a minute to spare: the rule itself reads `until`.
  redis.call('PEXPIRE', key, math.floor(memory / 1000) + 60000)
end

-- Step 2 of every vote: cut an impossible expiry, forget a holder whose time is up.
local function settle(r, memory)
  if r.value == '' then return end
  if r.expiry > now + longest then
    r.expiry = now + longest
    r.dirty = true
  end
  if r.expiry <= now then
    event(r, 'expired', token_of(r.value), r.ref, r.owner, '')
    end_marker(r.mkey, r.value, 'expired', memory)
    vacate(r)
  end
end

local function holder_of(r)
  return { r.name, r.ref, token_of(r.value), r.owner, math.floor((r.expiry - now) / 1000), r.card, r.binding, r.progress }
end
