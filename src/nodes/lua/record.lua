--[[
record.lua: loads, changes and saves what this node remembers of one resource.

Part of votes.lua and admin.lua (concatenated by ../scripts.ts); has no KEYS of its own but uses
  KEYS[2] names    sorted set of all resources with a record, scores 0
  KEYS[3] record   prefix of the hashes, one a resource (below)
  KEYS[4] marker   prefix of the hashes that remember request ids
and `now` and `longest` (both microseconds), set by the script that includes it.

Fields of a record:
  s  "FENCE STATE EXPIRY SLOT BINDING FLAGS": the fence token or `-`; o open, O open with its opener in field `o`,
     r released, f forced, u undone, - none; the holder's expiry, 0 for nobody; the ring's next slot; the holder's
     binding; flags: 1 has a marker, 2 has progress, 4 the newest event is a renewal
  v  value of the holder, and, after it, of the last one: who opened a fence of state o
  d  "TOKEN\31REF\31OWNER" of the holder, c its card, p its progress, m "KEY\31DIGEST" of its marker
  o  the opener's secret for a fence of state O
  0..63  the history ring: "KIND\31TIME\31TOKEN\31REF\31OWNER\31REASON"
One short header and fields read only when a rule needs them: unpacking one long text cost more than the vote
(bench/ has the figures). Tokens are compared as numbers (exact below 2^53, which is the year 2255) and stored as
the text that came in: Lua would print 10^14 as 1e+14.
]]
local now, longest
local RING = 64
local HEADER = '^(%S+) (%S) (%d+) (%d+) (.*)$'
local STATE = { released = 'r', forced = 'f', undone = 'u' }
local MARKED, PROGRESS, RENEWED = 1, 2, 4

-- The same few numbers are written again and again in one batch, and formatting one costs as much as a write.
local texts = {}
local function micros(number)
  local text = texts[number]
  if not text then
    text = string.format('%.0f', number)
    texts[number] = text
  end
  return text
end

local function load(name)
  local key = KEYS[3] .. name
  local header = redis.call('HGET', key, 's')
  if not header then
    return { name = name, key = key, fresh = true, fence = '-', state = '-', expiry = 0, slot = '0', binding = 0,
      flags = 0 }
  end
  local fence, state, expiry, slot, tail = string.match(header, HEADER)
  local r = { name = name, key = key, fence = fence, number = tonumber(fence), state = state, expiry = 0, slot = slot,
    binding = 0, flags = 0 }
  if expiry ~= '0' then
    r.expiry, r.value = tonumber(expiry), redis.call('HGET', key, 'v')
  end
  -- Nearly every record ends so; numbers are read out of it only when it does not.
  if tail ~= '0 0' then
    local binding, flags = string.match(tail, '^(%d+) (%d+)$')
    r.binding, r.flags = tonumber(binding), tonumber(flags)
  end
  return r
end

local function has(flags, flag)
  return flags % (2 * flag) >= flag
end

local function head_of(r)
  return redis.call('HGET', r.key, 'd')
end

local function marker_of(r)
  if not has(r.flags, MARKED) then return '', '' end
  return string.match(redis.call('HGET', r.key, 'm'), '^([^\31]*)\31(.*)$')
end

local function set_fence(r, text, state)
  r.fence, r.number, r.state, r.dirty = text, tonumber(text), state, true
end

-- Appends to the ring; a renewal replaces a newest event that is one (between two leases stands another event).
-- `head` is "TOKEN\31REF\31OWNER".
local function event(r, kind, head, reason)
  if r.event then r.earlier = { r.at, r.event } end
  local renewal = kind == 'renewed'
  if renewal and has(r.flags, RENEWED) then
    r.at = micros((r.slot - 1) % RING)
  else
    r.at = r.slot
    r.slot = micros((r.slot + 1) % RING)
  end
  if renewal ~= has(r.flags, RENEWED) then r.flags = r.flags + (renewal and RENEWED or -RENEWED) end
  r.event = kind .. '\31' .. micros(now) .. '\31' .. head .. '\31' .. reason
  r.dirty = true
end

local function write(r, header)
  if not r.event then return redis.pcall('HSET', r.key, 's', header) end
  if not r.taken then return redis.pcall('HSET', r.key, 's', header, r.at, r.event) end
  return redis.pcall('HSET', r.key, 's', header, 'v', r.value, 'd', r.head, 'c', r.card, r.at, r.event)
end

-- Writes the record with its new events; answers an error table when the node's memory is full. The first write of
-- a script is the only one that a full memory can refuse.
local function save(r)
  if not r.dirty then return nil end
  local tail = '0 0'
  if r.binding + r.flags > 0 then tail = r.binding .. ' ' .. r.flags end
  local header = r.fence .. ' ' .. r.state .. ' ' .. micros(r.expiry) .. ' ' .. r.slot .. ' ' .. tail
  local wrote = write(r, header)
  if type(wrote) == 'table' and wrote.err then return wrote end
  if r.earlier then redis.call('HSET', r.key, r.earlier[1], r.earlier[2]) end
  if r.fresh then redis.call('ZADD', KEYS[2], 0, r.name) end
  r.dirty, r.fresh, r.event, r.earlier, r.taken = nil, nil, nil, nil, nil
  return nil
end

local function vacate(r)
  r.value, r.expiry, r.binding, r.dirty = nil, 0, 0, true
  r.flags = has(r.flags, RENEWED) and RENEWED or 0
end

-- A request id that has ended is remembered for a while, so that a late repeat does not lock again.
local function end_marker(mkey, value, why, memory)
  if mkey == '' then return end
  local key = KEYS[4] .. mkey
  local known = redis.call('HMGET', key, 'value', 'until')
  if known[1] ~= value or (known[2] and tonumber(known[2]) <= now) then return end
  local wrote = redis.pcall('HSET', key, 'why', why, 'until', micros(now + memory))
  if type(wrote) == 'table' and wrote.err then return end
  -- Garbage collection only, with a minute to spare: the rule itself reads `until`.
  redis.call('PEXPIRE', key, math.floor(memory / 1000) + 60000)
end

-- Step 2 of every vote: cut an impossible expiry, forget a holder whose time is up.
local function settle(r, memory)
  if r.expiry == 0 then return end
  if r.expiry > now + longest then
    r.expiry = now + longest
    r.dirty = true
  end
  if r.expiry <= now then
    event(r, 'expired', head_of(r), '')
    local mkey = marker_of(r)
    end_marker(mkey, r.value, 'expired', memory)
    vacate(r)
  end
end

local function holder_of(r)
  local token, ref, owner = string.match(head_of(r), '^([^\31]*)\31([^\31]*)\31(.*)$')
  local progress = has(r.flags, PROGRESS) and redis.call('HGET', r.key, 'p') or ''
  local remaining = math.floor((r.expiry - now) / 1000)
  return { r.name, ref, token, owner, remaining, redis.call('HGET', r.key, 'c'), r.binding, progress }
end
