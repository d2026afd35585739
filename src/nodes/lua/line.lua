--[[
line.lua: the waiting line by the rules of ../line.ts.

Part of the votes script after readers.lua (concatenated by ../scripts.ts); uses KEYS[6] (layout.lua) and
  ARGV[8] replica  whoever asks

The line q:NAME is a sorted set of waiter ids by order. A waiter w:ID is packed {deadline, order, ticket, priority,
replica, owner, shared, any, names, liveness in ms (older versions write none)}; a PLACE comes as {id, ticket, order,
priority, replica, owner, shared, any, names, liveness in ms, most}, where shared is 0 or 1 and names a text or a list.
]]
local SCANNED = 16
-- How long an owner's set is kept at least: longer than any place lasts. Rules read the deadlines of its members.
local OWNER_KEPT = 1200000

-- Those that this script has read or written, by id; false for nobody.
local waiters = {}

-- A live waiter, or nothing and the dead one.
local function waiter(id)
  local w = waiters[id]
  if w == nil then
    local packed = call('GET', BESIDE .. 'w:' .. id)
    w = packed and cmsgpack.unpack(packed)
    waiters[id] = w
  end
  if not w then return nil end
  if w[1] <= now then return nil, w end
  -- Written before the clock was set back: nobody knows for how long it has been dead.
  if w[10] and w[1] > now + w[10] * 1000 then return nil, w end
  return w
end

local function forget_waiter(id, owner)
  waiters[id] = false
  call('DEL', BESIDE .. 'w:' .. id)
  if owner then call('SREM', BESIDE .. 'o:' .. owner, id) end
end

local function take_off(r, id)
  if call('ZREM', BESIDE .. 'q:' .. r.name, id) == 0 then return false end
  if r.first == id then r.first = nil end
  if call('EXISTS', BESIDE .. 'q:' .. r.name) == 0 then
    r.flags = r.flags - QUEUED - (has(r.flags, CROSSED) and CROSSED or 0)
    r.dirty = true
  end
  return true
end

-- Step 3: the first live waiter of a line; dead ones before it are taken off.
local function front(r)
  while has(r.flags, QUEUED) do
    local id = r.first or call('ZRANGE', BESIDE .. 'q:' .. r.name, 0, 0)[1]
    local w, dead = waiter(id)
    if w then
      r.first = id
      return id, w
    end
    take_off(r, id)
    forget_waiter(id, dead and dead[6])
    r.moved = true
  end
  return nil
end

-- Of the replica that released by itself nothing is told: it looks at its own waiters.
local quiet = false

wake = function(r)
  local id, w = front(r)
  r.moved = nil
  if r.dirty then save(r) end
  if not id or r.value or (w[7] == 0 and has(r.flags, SHARED)) then return end
  if quiet and w[5] == ARGV[8] then return end
  pcall('PUBLISH', BESIDE .. 'wake:' .. w[5], r.name .. '\31' .. id .. '\31' .. (r.number and micros(r.number) or '0'))
end

-- Does a live entry of a conflicting mode stand ahead of (order, id)? Without an id everybody stands ahead. Nearly
-- always the first one tells.
local function somebody_ahead(r, shared, order, id)
  local first, w = front(r)
  if not first then return false end
  if id and (first == id or w[2] > order or (w[2] == order and before(id, first))) then
    -- A place that stands in line has the order of its entry.
    if shared == 0 or first ~= id then return false end
  elseif shared == 0 or w[7] == 0 then
    return true
  end
  local key, till, at = BESIDE .. 'q:' .. r.name, id and micros(order) or '+inf', 0
  while true do
    local found = call('ZRANGEBYSCORE', key, '-inf', till, 'WITHSCORES', 'LIMIT', at, SCANNED)
    for i = 1, #found, 2 do
      local other = found[i]
      if id and tonumber(found[i + 1]) == order and before(id, other) then return false end
      if other ~= id then
        w = waiter(other)
        if w and w[7] == 0 then return true end
      end
    end
    if #found < 2 * SCANNED then return false end
    at = at + SCANNED
  end
end

local function names_of(names)
  return type(names) == 'string' and { names } or names
end

-- Every resource of a place, settled; those of an operation that are loaded already are taken from it.
local function places_of(place, loaded)
  local names, records = names_of(place[9]), {}
  local known = {}
  for i = 1, #loaded do known[loaded[i].name] = loaded[i] end
  for i = 1, #names do
    local r = known[names[i]]
    if not r then
      r = load(names[i])
      settle(r, MEMORY)
      front(r)
    end
    records[i] = r
  end
  return records
end

-- The live waiters of an owner, in order.
local function waits_of(owner)
  local ids, found = call('SMEMBERS', BESIDE .. 'o:' .. owner), {}
  for i = 1, #ids do
    local w = waiter(ids[i])
    if w and w[6] == owner then found[#found + 1] = { ids[i], w } end
  end
  table.sort(found, function(a, b)
    if a[2][2] ~= b[2][2] then return a[2][2] < b[2][2] end
    return before(a[1], b[1])
  end)
  return found
end

local function owner_waits(owner)
  local ids = call('SMEMBERS', BESIDE .. 'o:' .. owner)
  for i = 1, #ids do
    local w = waiter(ids[i])
    if w and w[6] == owner then return true end
  end
  return false
end

-- Those who hold what somebody of this mode would want.
local function conflicting(r, shared, most)
  local holders = {}
  if r.value then holders[1] = r end
  if shared == 0 then
    local readers = readers_of(r)
    for i = 1, math.min(#readers, most or #readers) do holders[#holders + 1] = readers[i] end
  end
  return holders
end

-- {position, length, ticket, order, free, tangled} for whoever stands in these lines as `w`.
local function line_from(records, id, w)
  local shared, position, length, free, tangled = w[7], 0, 0, {}, false
  for i = 1, #records do
    local r = records[i]
    local key = BESIDE .. 'q:' .. r.name
    local rank = call('ZRANK', key, id)
    if rank and rank + 1 > position then position, length = rank + 1, call('ZCARD', key) end
    local holders = conflicting(r, shared)
    if #holders == 0 and not somebody_ahead(r, shared, w[2], id) then free[#free + 1] = r.name end
    tangled = tangled or has(r.flags, CROSSED)
    -- A reader behind a writer waits for all that the writer waits for.
    if shared == 1 and has(r.flags, SHARED) and somebody_ahead(r, shared, w[2], id) then holders = conflicting(r, 0) end
    for n = 1, #holders do
      if tangled then break end
      local owner = owner_of(holders[n])
      tangled = owner == w[6] or owner_waits(owner)
    end
  end
  return { position, length, micros(w[3]), micros(w[2]), free, tangled }
end

-- The same for somebody without a place; false where nobody waits.
local function line_without(records)
  local length = 0
  for i = 1, #records do
    if has(records[i].flags, QUEUED) then
      length = math.max(length, call('ZCARD', BESIDE .. 'q:' .. records[i].name))
    end
  end
  return length > 0 and { 0, length, '0', '0', {}, false }
end

local function enter_lines(records, id, w, is_new)
  local crossed = #records > 1
  for i = 1, #records do
    local r = records[i]
    call('ZADD', BESIDE .. 'q:' .. r.name, micros(w[2]), id)
    r.first = nil
    if not has(r.flags, QUEUED) then r.flags, r.dirty = r.flags + QUEUED, true end
    if crossed and not has(r.flags, CROSSED) then r.flags, r.dirty = r.flags + CROSSED, true end
    if watched and is_new then
      pcall('PUBLISH', BESIDE .. 'news', table.concat({ r.name, 'queued', micros(now), '0', id, w[6], '', '0' }, '\31'))
    end
  end
end

-- JOIN: nothing and the answer's line, or what refuses it.
local function take_place(place, records)
  local id, order, ticket, priority = place[1], place[3], place[2], place[4]
  local known = waiter(id)
  if known then
    if known[2] < order then order, ticket, priority = known[2], known[3], known[4] end
    if known[6] ~= place[6] then call('SREM', BESIDE .. 'o:' .. known[6], id) end
  else
    for i = 1, #records do
      if has(records[i].flags, QUEUED) and call('ZCARD', BESIDE .. 'q:' .. records[i].name) >= place[11] then
        return 'c'
      end
    end
  end
  local w = { now + place[10] * 1000, order, ticket, priority, place[5], place[6], place[7], place[8], place[9],
    place[10] }
  -- Garbage collection only, with a minute to spare: the rule itself reads the deadline.
  local keep = math.floor(place[10]) + 60000
  local wrote = pcall('SET', BESIDE .. 'w:' .. id, cmsgpack.pack(w), 'PX', keep)
  if type(wrote) == 'table' and wrote.err then return full(wrote) end
  waiters[id] = w
  call('SADD', BESIDE .. 'o:' .. w[6], id)
  call('PEXPIRE', BESIDE .. 'o:' .. w[6], OWNER_KEPT)
  enter_lines(records, id, w, not known)
  return nil, line_from(records, id, w)
end

local function save_all(records)
  for i = 1, #records do
    local wrote = save(records[i])
    if wrote then return wrote end
  end
  return nil
end

local function join(o)
  local records = places_of(o[2], {})
  local refused, line = take_place(o[2], records)
  save_all(records)
  return refused or cjson.encode({ 'q', line })
end

local function leave(o)
  local id, shared = o[2], o[3]
  local records = places_of({ [9] = o[4] }, {})
  local w, dead = waiter(id)
  local line = w and line_from(records, id, w) or line_without(records)
  local holders, elsewhere = {}, w and w[5] ~= o[5]
  for i = 1, #records do
    local r = records[i]
    local found = conflicting(r, shared, READERS_SHOWN)
    for n = 1, #found do holders[#holders + 1] = shown(r, found[n]) end
    if not elsewhere then
      local first = front(r)
      take_off(r, id)
      if first == id then r.moved = true end
    end
  end
  if not elsewhere then forget_waiter(id, (w or dead or {})[6]) end
  save_all(records)
  return cjson.encode({ 'L', w ~= nil, line, holders })
end

-- HOLD f: whoever holds waits no longer.
local function served(place, records)
  local id, left, stood = place[1], #names_of(place[9]), false
  for i = 1, #records do
    local r = records[i]
    if has(r.flags, QUEUED) then
      local first = front(r)
      stood = take_off(r, id) or stood
      if first == id and place[7] == 1 then r.moved = true end
    end
    left = left - 1
  end
  if stood and left <= 0 then forget_waiter(id, place[6]) end
end

-- What views show of a waiter.
local function waiter_shown(id, w)
  return { id, w[6], micros(w[3]), micros(w[2]), w[4], w[7], w[8], names_of(w[9]) }
end

local function line_shown(r, most)
  if not has(r.flags, QUEUED) then return false end
  local key = BESIDE .. 'q:' .. r.name
  local ids, found = most > 0 and call('ZRANGE', key, 0, most - 1) or {}, {}
  for i = 1, #ids do
    local w = waiter(ids[i])
    if w then found[#found + 1] = waiter_shown(ids[i], w) end
  end
  local length = call('ZCARD', key) - (#ids - #found)
  return length > 0 and { length, found }
end
