--[[
gate.lua: opens the script that answers a batch of operations: what it is given, and whether this node may vote.

Part of the votes script (concatenated by ../scripts.ts): layout, gate, then record, readers, line, votes, renew, ends and views as the
body of one function that is only run when a batch needs more than the short way, then answer.

KEYS[1] meta  KEYS[2] names  KEYS[3] record prefix  KEYS[4] marker prefix  KEYS[5] quarantine  KEYS[6] beside prefix
ARGV[1] stamp: "SCHEMA\31NODE\31CLUSTER\31LONGEST\31RUN" of the proposer; RUN is the process that this very connection
        reached, LONGEST the longest ttl in milliseconds
ARGV[2] longest ttl  ARGV[3] lead  ARGV[4] slack  ARGV[5] age of a fence to drop  ARGV[6] memory of an ended request
        (all in microseconds)
ARGV[8] the replica that asks: its own releases do not wake it
ARGV[7] operations: one after the other, as ../op-bytes.ts writes them
answer.lua returns "TIME\nANSWER\nANSWER...": the node's time in microseconds, then for each operation
a bare word or a JSON array (which has no raw line feed in it).
]]
local time = call('TIME')
now = time[1] * 1000000 + time[2]
longest = tonumber(ARGV[2])
local LEAD, SLACK, AGE, MEMORY = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])

-- Which part of the stamp differs from the node's, and whether that means another cluster or a lost memory.
local function differs(stamp)
  local NAMES = { 'schema', 'node id', 'cluster', 'longest ttl' }
  local at = 0
  local mine = {}
  for part in string.gmatch(ARGV[1] .. '\31', '([^\31]*)\31') do mine[#mine + 1] = part end
  for part in string.gmatch(stamp .. '\31', '([^\31]*)\31') do
    at = at + 1
    if part ~= mine[at] and at <= 4 then return 'config', NAMES[at] .. ' ' .. part end
  end
  return 'amnesia', 'meta of another run'
end

-- Step 1: what stops this node from voting. `amnesia` and `suspect` do not stop a release.
local function gate()
  local meta = call('HMGET', KEYS[1], 'stamp', 'suspect', 'floor', 'watch')
  -- Whoever watches says so every few seconds; an end too far away is that of a clock which stepped back since.
  watched = meta[4] and tonumber(meta[4]) > now and tonumber(meta[4]) <= now + 60000000
  -- The floor is the node's own and stands beside the meta: a quarantine may have raised it, an adoption keeps it.
  local own_floor = meta[3] or '0'
  if not meta[1] then return 'amnesia', 'no meta', own_floor end
  if meta[1] ~= ARGV[1] then
    local why, detail = differs(meta[1])
    return why, detail, own_floor
  end
  if meta[2] and meta[2] ~= '0' then
    local suspect = tonumber(meta[2])
    if suspect > now + longest then
      suspect = now + longest
      pcall('HSET', KEYS[1], 'suspect', micros(suspect))
    end
    if suspect > now then return 'suspect', 'clock jumped', own_floor end
  end
  return nil, nil, own_floor
end
local closed, closed_detail, floor_text = gate()
local floor = tonumber(floor_text)

local function silent(why, detail)
  return cjson.encode({ '!', why, detail })
end

local function full(wrote)
  -- What was refused was not saved.
  loaded = {}
  if string.find(wrote.err, 'OOM', 1, true) then return silent('full', wrote.err) end
  return silent('error', wrote.err)
end
