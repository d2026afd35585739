--[[
answer.lua: takes the commonest questions the short way, and answers the batch.

Last part of the votes script (concatenated by ../scripts.ts), whose locals, KEYS and ARGV it uses.
]]
-- The two commonest questions where every rule is at its commonest: one resource that has a record and no marker, a
-- free lock and a token between the fence and now, or a holder with nothing beside it. Whatever differs takes the long
-- way, which decides the same; the property test holds both to the memory node. Here records are put together from
-- pieces and read in part: struct.pack of one costs as much as both commands.
local byte, char, find = string.byte, string.char, string.find
local HELD, RELEASED = 'held\31' .. micros(now) .. '\31', 'released\31' .. micros(now) .. '\31'
-- Expiry, slot, flags, then state passed over, binding (passed over where nobody holds), fence, measures of the body.
local READ_FREE, READ_HELD = '<dBBxxxxxd', '<dBBxI4dBBI2'
-- Flags, state and binding of a plain holder and of nobody after a release.
local TAKEN, LEFT, NOBODY, NO_BODY = '\0o\0\0\0\0', '\0r\0\0\0\0', pack('<d', 0), '\0\0\0\0'
local FENCE = struct.size('<dBBc1I4') + 1
-- What precedes a body in the STORED part of a hold.
local BEFORE_BODY = struct.size('<dBBI2')

local expiries = {}
local function expiry_after(ttl)
  local packed = expiries[ttl]
  if not packed then
    packed = pack('<d', now + ttl * 1000)
    expiries[ttl] = packed
  end
  return packed
end

-- `put`: the record from its fence on; the head of its events goes from `from` to `till` in it.
local function hold_plainly(name, number, ttl, from, till, put)
  if number > now + LEAD or number <= floor then return nil end
  local key = PREFIX .. name
  local stored = call('HGET', key, 's')
  if not stored then return nil end
  local expiry, slot, flags, fence = unpack_header(READ_FREE, stored)
  if expiry > 0 or flags > 0 or number <= fence then return nil end
  local wrote = pcall('HSET', key,
    's', expiry_after(ttl) .. char((slot + 1) % RING) .. TAKEN .. put,
    slot_name(slot), HELD .. sub(put, from, till) .. '\31')
  if type(wrote) == 'table' then return full(wrote) end
  -- Only if it is there: to set what is not would make room for it.
  if loaded[name] then loaded[name] = nil end
  return 'h'
end

-- Of a binding above 0 the long way knows: here any that was named would do.
local function release_plainly(name, number, value)
  local key = PREFIX .. name
  local stored = call('HGET', key, 's')
  if not stored then return nil end
  local expiry, slot, flags, binding, fence, from, length, till = unpack_header(READ_HELD, stored)
  if expiry <= now or expiry > now + longest or flags > 0 or binding > 0 or fence ~= number then return nil end
  -- Compared where it stands: to cut it out would make a text, and hash it.
  if length ~= #value or find(stored, value, TAIL, true) ~= TAIL then return nil end
  local before = TAIL - 1
  local wrote = pcall('HSET', key,
    's', NOBODY .. char((slot + 1) % RING) .. LEFT .. sub(stored, FENCE, FENCE + 7) .. NO_BODY,
    slot_name(slot), RELEASED .. sub(stored, before + from, before + till) .. '\31')
  -- A full node must still let go: the long way knows how.
  if type(wrote) == 'table' then return nil end
  if loaded[name] then loaded[name] = nil end
  return 'R'
end

local function may(kind)
  if closed == 'config' then return false end
  if kind == 'r' or kind == 'f' then return true end
  -- Suspicion does not stop what reads or tidies.
  return closed == 'suspect' and find('vlwyoskt', kind, 1, true) ~= nil
end

-- The rules at length, made when the first operation needs them.
local acts
local function decide(o)
  if closed and not may(o[1]) then return silent(closed, closed_detail) end
  acts = acts or rules()
  return acts[o[1]](o)
end

-- The short way tells nobody.
local plainly = not closed and not watched

-- Each reads one operation that begins at `at`, says by `upto` where the next one begins, and answers it.
local upto
local PLAIN_HOLD, PLAIN_RELEASE, PACKED = '<Bc0dI4I2I2I2c0', '<Bc0dBc0', '<I4c0'
local READERS = {
  [byte('h')] = function(operations, at)
    local name, number, ttl, from, till, put
    name, number, ttl, from, till, put, upto = unpack_header(PLAIN_HOLD, operations, at)
    local answer = plainly and hold_plainly(name, number, ttl, from, till, put)
    if answer then return answer end
    local length = byte(put, 10)
    return decide({ 'h', name, number, ttl, sub(put, BEFORE_BODY + 1), from - BEFORE_BODY, length, till - BEFORE_BODY })
  end,
  [byte('r')] = function(operations, at)
    local name, number, value
    name, number, value, upto = unpack_header(PLAIN_RELEASE, operations, at)
    return plainly and release_plainly(name, number, value) or decide({ 'r', name, number, value })
  end,
  [byte('b')] = function(operations, at)
    local name, number, value
    name, number, value, upto = unpack_header(PLAIN_RELEASE, operations, at)
    return plainly and release_plainly(name, number, value)
      or decide({ 'r', name, number, value, 'released', '', 0, 0 })
  end,
  [byte('p')] = function(operations, at)
    local packed
    packed, upto = unpack_header(PACKED, operations, at)
    return decide(cmsgpack.unpack(packed))
  end,
}

local answers, answered = { micros(now) }, 1
local operations, at = ARGV[7], 1
local size = #operations

local function answer_all()
  while at <= size do
    upto = nil
    local answer = READERS[byte(operations, at)](operations, at + 1)
    answered = answered + 1
    answers[answered], at = answer, upto
  end
end

-- A record that cannot be read stops its own operation; those that came with it are about other locks.
while at <= size do
  local done, why = protected(answer_all)
  if not done then
    loaded, acts = {}, nil
    answered = answered + 1
    answers[answered], at = silent('error', type(why) == 'table' and why.err or tostring(why)), upto
  end
end
return table.concat(answers, '\n')
