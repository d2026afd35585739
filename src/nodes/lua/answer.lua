--[[
answer.lua: the end of votes.lua: takes the commonest questions the short way, and answers the batch.

Part of votes.lua (concatenated by ../scripts.ts), whose locals, KEYS and ARGV it uses.
]]
-- The two commonest questions where every rule is at its commonest: one resource that has a record and no marker, a
-- free lock and a token between the fence and now, or a holder with nothing beside it. Whatever differs takes the long
-- way, which decides the same; the property test holds both to the memory node.
local HELD, RELEASED = 'held\31' .. micros(now) .. '\31', 'released\31' .. micros(now) .. '\31'

local function hold_plainly(o)
  local name, number = o[2], o[3]
  if o[9] or type(name) ~= 'string' or number > now + LEAD or number <= floor then return nil end
  local key = PREFIX .. name
  local stored = call('HGET', key, 's')
  if not stored then return nil end
  local fence, expiry, _, slot, flags = unpack_header(HEADER, stored)
  if expiry > 0 or flags > 0 or number <= fence then return nil end
  local body, from, till = o[5], o[6], o[8]
  local wrote = pcall('HSET', key,
    's', pack(RECORD, number, now + o[4] * 1000, 0, (slot + 1) % RING, 0, 'o', from, o[7], till, body),
    slot_name(slot), HELD .. sub(body, from, till) .. '\31')
  if type(wrote) == 'table' then return full(wrote) end
  return 'h'
end

local function release_plainly(o)
  local name, number = o[2], o[3]
  if o[5] or type(name) ~= 'string' then return nil end
  local key = PREFIX .. name
  local stored = call('HGET', key, 's')
  if not stored then return nil end
  local fence, expiry, _, slot, flags, _, from, length, till = unpack_header(HEADER, stored)
  if expiry <= now or expiry > now + longest or flags > 0 or fence > number then return nil end
  local before = TAIL - 1
  if sub(stored, TAIL, before + length) ~= o[4] then return nil end
  local wrote = pcall('HSET', key, 's', pack(HEADER, number, 0, 0, (slot + 1) % RING, 0, 'r', 0, 0, 0),
    slot_name(slot), RELEASED .. sub(stored, before + from, before + till) .. '\31')
  -- A full node must still let go: the long way knows how.
  if type(wrote) == 'table' then return nil end
  return 'R'
end

local ACTS = { n = renew, p = repair, f = force, v = look, l = list, w = sweep,
  h = function(o) return hold_plainly(o) or hold(o) end,
  r = function(o) return release_plainly(o) or release(o) end,
  g = function() return 'g' end }
local LETS_GO = { r = true, f = true }
local READS = { v = true, l = true, w = true }

local function may(kind)
  if closed == 'config' then return false end
  if LETS_GO[kind] then return true end
  return closed == 'suspect' and READS[kind] == true
end

local answers = { micros(now) }
local operations = cmsgpack.unpack(ARGV[7])
for i = 1, #operations do
  local o = operations[i]
  if not closed or may(o[1]) then
    answers[i + 1] = ACTS[o[1]](o)
  else
    answers[i + 1] = silent(closed, closed_detail)
  end
end
return table.concat(answers, '\n')
