--[[
layout.lua: how a record is laid out, and the little that every script needs of it.

First part of both scripts (concatenated by ../scripts.ts), whose locals it makes; uses
  KEYS[3] record   prefix of the hashes, one a resource
  KEYS[6] beside   prefix of what stands beside the records: q:NAME line, w:ID waiter, o:OWNER its waiters' ids,
                   s:NAME readers, x:NAME tokens that were shut, and the channels wake:REPLICA, forced and news

Fields of a record:
  s  packed as HEADER: the holder's expiry (0: nobody), the ring's next slot, flags (1 has a marker, 2 has progress,
     4 the newest event is a renewal, 8 somebody stands in line, 16 readers hold, 32 a reader moved the fence last and
     field `x` has the writer's, 64 the line is crossed), the fence's state (o open, O open with its opener in field `o`, r released,
     f forced, u undone, - none), the holder's binding, the fence (-1: none); then the BODY with its three measures:
     that of the holder, or, where nobody holds, of whoever opened a fence of state o, else nothing. From the fence on
     a hold brings all of it as it is stored: to pack it here would cost more than the two commands (answer.lua)
  p  the holder's progress, m "KEY\31DIGEST" of its marker
  o  the opener's secret for a fence of state O, x the writer's fence
  00..63  the history ring: "KIND\31TIME\31TOKEN\31REF\31OWNER\31REASON"
A BODY is "SECRET|TOKEN\31REF\31OWNERCARD", as it came in: its value "SECRET|TOKEN" is `length` long, its head
"TOKEN\31REF\31OWNER" goes from `from` to `till`. One call reads a record and one unpacks it; Redis' Lua hashes every
byte of every text that it makes, so what is short or not taken apart is cheap (docs/benchmarks.md). Tokens are
numbers here: exact below 2^53, which is the year 2255, and only micros() may print one, for Lua itself would write
10^14 as 1e+14.
]]
local now, longest, watched
-- Lua's own, before its name goes to the one that catches what a command says.
local protected = pcall
local call, pcall, pack, unpack_header, sub = redis.call, redis.pcall, struct.pack, struct.unpack, string.sub
local RING = 64
local HEADER = '<dBBc1I4dBBI2'
local TAIL = struct.size(HEADER) + 1
-- The same with a body behind it.
local RECORD = HEADER .. 'c0'
local STATE = { released = 'r', forced = 'f', undone = 'u' }
local MARKED, PROGRESS, RENEWED, QUEUED, SHARED, READ, CROSSED = 1, 2, 4, 8, 16, 32, 64
-- Field names of the ring: formatting a number costs more than cutting its text out of this one.
local SLOTS = '0001020304050607080910111213141516171819202122232425262728293031' ..
  '3233343536373839404142434445464748495051525354555657585960616263'

-- Records that this script has read, by name: what it changes it saves, so they are true until it ends.
local loaded = {}

local texts = {}
local function micros(number)
  local text = texts[number]
  if not text then
    text = string.format('%.0f', number)
    texts[number] = text
  end
  return text
end

local function slot_name(slot)
  return sub(SLOTS, 2 * slot + 1, 2 * slot + 2)
end

local PREFIX, BESIDE = KEYS[3], KEYS[6]
