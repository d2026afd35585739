--[[
votes.lua: HOLD and REPAIR by the rules of node.ts, at length.

Part of the votes script after line.lua (concatenated by ../scripts.ts), inside one function: to make all these
functions costs as much as several plain votes, and most batches need none of them.
]]
local function load_all(names)
  if type(names) == 'string' then
    local r = load(names)
    settle(r, MEMORY)
    front(r)
    return { r }
  end
  local records = {}
  for i = 1, #names do
    records[i] = load(names[i])
    settle(records[i], MEMORY)
    front(records[i])
  end
  return records
end

-- Keeps what step 2 changed; if even that finds no memory the next operation will settle it again.
local function answer(records, text)
  save_all(records)
  return text
end

-- Was this record's open fence opened by the lease of `value`? Of equal tokens, equal values mean equal secrets.
local function opened_by(r, value)
  if r.state == 'o' then return sub(r.body, 1, r.length) == value end
  return r.state == 'O' and call('HGET', r.key, 'o') == string.match(value, '^(.-)|')
end

-- Rule d: is `token` refused by the fence or by the floor, and by which?
local function stale(r, token, value, repairs)
  local fence = r.number
  if fence and token == fence and (repairs or token > floor) and opened_by(r, value) then return nil end
  if fence and token <= fence and fence >= floor then return fence end
  if token <= floor then return floor end
  return nil
end

-- REPAIR d: may a reader that the fence has passed come back?
local function may_return(r, token)
  return r.number and token < r.number and writer_of(r) < token and token > floor and not is_shut(r, token)
end

-- Rules b, c and d, shared by hold and repair; nil when nothing stands against it, and for c also that it is c.
local function objection(records, value, token, shared, repairs)
  local same, held, holders = 0, 0, {}
  for i = 1, #records do
    if held_by(records[i], value) then same = same + 1 end
  end
  if same == #records then return 'd' end
  for i = 1, #records do
    local found = in_the_way(records[i], value, shared, same > 0)
    if #found > 0 then held = held + 1 end
    for n = 1, #found do holders[#holders + 1] = shown(records[i], found[n]) end
  end
  if held > 0 then
    return holders, true
  end
  local highest
  for i = 1, #records do
    local r = records[i]
    local fence = stale(r, token, value, repairs)
    if fence and not (repairs and shared and may_return(r, token)) and (not highest or fence > highest) then highest = fence end
  end
  if highest then return cjson.encode({ 's', micros(highest) }) end
  return nil
end

-- A repeat of the request has taken the lease over: what its first asker still sends no longer speaks for it.
local function bind_again(records, value)
  local first, of
  for i = 1, #records do
    local r = records[i]
    local h = held_by(r, value)
    if h then
      if not first then first, of = h, r end
      h.binding, h.dirty, r.dirty = h.binding + 1, true, true
    end
  end
  return first, of
end

-- Rule a: what is known of this request id.
local function remembered(records, mkey, mdigest, value, among)
  local known = call('HMGET', KEYS[4] .. mkey, 'value', 'digest', 'why', 'until')
  local earlier, why = known[1], known[3]
  if not earlier or earlier == value then return nil end
  if why and tonumber(known[4]) <= now then return nil end
  if known[2] ~= mdigest then return 'x' end
  if why then return cjson.encode({ 'E', earlier, why }) end
  local held = false
  for i = 1, #records do held = held or held_by(records[i], earlier) ~= nil end
  if not held and among then
    records = load_all(among)
    for i = 1, #records do held = held or held_by(records[i], earlier) ~= nil end
    save_all(records)
  end
  if not held then return cjson.encode({ 'E', earlier, 'unknown' }) end
  -- An earlier attempt of this very request: no repeat, but a holder in its way.
  if string.match(earlier, '^(.-)|') == string.match(value, '^(.-)|') then return nil end
  local h, r = bind_again(records, earlier)
  local wrote = save_all(records)
  if wrote then return full(wrote) end
  return cjson.encode({ 'p', earlier, shown(r, h) })
end

local function write_marker(mkey, value, mdigest)
  call('DEL', KEYS[4] .. mkey)
  call('HSET', KEYS[4] .. mkey, 'value', value, 'digest', mdigest)
end

-- A reader's token raises the fence as a reader's, and opens it; one that comes back below it leaves it alone.
local function read_fence(r, number, body, o)
  if r.number and number < r.number then return end
  if not has(r.flags, READ) and number ~= r.number then
    call('HSET', r.key, 'x', micros(r.number or 0))
    r.flags = r.flags + READ
  end
  r.number, r.state = number, 'o'
  if not r.value then r.body, r.from, r.length, r.till = body, o[6], o[7], o[8] end
end

-- Writes all or nothing; name, token, ttl, body and its measures stand where both hold and repair have them.
local function take_all(records, kind, o, more)
  local left, body, from, length, till = o[4] * 1000, o[5], o[6], o[7], o[8]
  local value, head = sub(body, 1, length), sub(body, from, till)
  local progress, mkey, mdigest = more.progress or '', more.mkey or '', more.mdigest or ''
  local flags = (mkey ~= '' and MARKED or 0) + (progress ~= '' and PROGRESS or 0)
  if more.shared or flags > 0 then
    -- Whatever a full memory can refuse, it refuses at the first write.
    local wrote = pcall('HSET', records[1].key, '-', '')
    if type(wrote) == 'table' and wrote.err then return wrote end
    call('HDEL', records[1].key, '-')
  end
  for i = 1, #records do
    local r = records[i]
    if more.shared then
      read_fence(r, o[3], body, o)
      add_reader(r, { value = value, expiry = now + left, binding = more.binding, body = body, from = from,
        length = length, till = till, progress = progress, mkey = mkey, mdigest = mdigest })
    else
      if has(r.flags, READ) then r.flags = r.flags - READ end
      r.number, r.state, r.value, r.body, r.from, r.length, r.till = o[3], 'o', value, body, from, length, till
      r.expiry, r.binding = now + left, more.binding
      r.flags = r.flags - r.flags % RENEWED + flags
      if mkey ~= '' then call('HSET', r.key, 'm', mkey .. '\31' .. mdigest) end
      if progress ~= '' then call('HSET', r.key, 'p', progress) end
    end
    event(r, kind, head, '', left)
  end
  if more.place then served(more.place, records) end
  return save_all(records)
end

-- Rules c and w: what the asker hears, and where it stands from now on.
local function not_now(records, place, places, holders)
  local line, refused
  if place then
    refused, line = take_place(place, places)
    if refused then return answer(records, refused) end
  else
    line = line_without(records)
  end
  save_all(records)
  if holders then return cjson.encode({ 'c', holders, line }) end
  return cjson.encode({ 'W', line })
end

-- Rule w; of a live waiter the earlier of its places counts.
local function must_wait(records, shared, place)
  local id, order
  for i = 1, #records do
    local r = records[i]
    if has(r.flags, QUEUED) then
      if place and not id then
        local known = waiter(place[1])
        id, order = place[1], known and math.min(known[2], place[3]) or place[3]
      end
      if somebody_ahead(r, shared, order, id) then return true end
    end
  end
  return false
end

local function decide_hold(o, records, places)
  local number, value, mkey, mdigest = o[3], sub(o[5], 1, o[7]), o[10] or '', o[11]
  local shared, place = o[12] == 1, o[13] ~= 0 and o[13] or nil
  local known = mkey ~= '' and remembered(records, mkey, mdigest, value, o[14])
  if known then return answer(records, known) end
  local against, held = objection(records, value, number, shared)
  if held then return not_now(records, place, places, against) end
  if against then return answer(records, against) end
  if number > now + LEAD then
    local seen = o[9] or 0
    for i = 1, #records do
      local fence = records[i].number or 0
      if number > math.max(fence, seen) + SLACK then return answer(records, 'a') end
    end
  end
  if must_wait(records, shared and 1 or 0, place) then
    return not_now(records, place, places, nil)
  end
  local wrote = take_all(records, 'held', o,
    { binding = 0, mkey = mkey, mdigest = mdigest, shared = shared, place = place })
  if wrote then return full(wrote) end
  if mkey ~= '' then write_marker(mkey, value, mdigest) end
  return 'h'
end

local function hold(o)
  local records, place = load_all(o[2]), o[13] ~= 0 and o[13] or nil
  local places = records
  if place and #names_of(place[9]) > #records then places = places_of(place, records) end
  local text = decide_hold(o, records, places)
  if places ~= records then save_all(places) end
  return text
end

local function repair(o)
  local value, progress, mkey, mdigest, shared = sub(o[5], 1, o[7]), o[10], o[11], o[12], o[13] == 1
  local records = load_all(o[2])
  local against, held = objection(records, value, o[3], shared, true)
  if held then return answer(records, cjson.encode({ 'c', against, false })) end
  if against then return answer(records, against) end
  local wrote = take_all(records, 'renewed', o,
    { binding = o[9], progress = progress, mkey = mkey, mdigest = mdigest, shared = shared })
  if wrote then return full(wrote) end
  if mkey ~= '' then
    local known = call('HMGET', KEYS[4] .. mkey, 'value', 'why', 'until')
    if not known[1] or (known[2] and tonumber(known[3]) <= now) then write_marker(mkey, value, mdigest) end
  end
  return 'h'
end
