--[[
votes.lua: every operation by the rules of node.ts, at length.

Part of the votes script after record.lua (concatenated by ../scripts.ts), inside one function: to make all these
functions costs as much as four plain votes, and most batches need none of them.
]]
local function load_all(names)
  if type(names) == 'string' then
    local r = load(names)
    settle(r, MEMORY)
    return { r }
  end
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

-- Was this record's open fence opened by the lease of `value`? Of equal tokens, equal values mean equal secrets.
local function opened_by(r, value)
  if r.state == 'o' then return sub(r.body, 1, r.length) == value end
  return r.state == 'O' and call('HGET', r.key, 'o') == string.match(value, '^(.-)|')
end

-- Rule d: is `token` refused by the fence or by the floor, and by which?
local function stale(r, token, value)
  local fence = r.number
  if fence and token == fence and opened_by(r, value) then return nil end
  if fence and token <= fence and fence >= floor then return fence end
  if token <= floor then return floor end
  return nil
end

-- Rules b, c and d, shared by hold and repair; nil when nothing stands against it.
local function objection(records, value, token)
  local same, held = 0, 0
  for i = 1, #records do
    local r = records[i]
    if r.value then held = held + 1 end
    if r.value == value then same = same + 1 end
  end
  if same == #records then return 'd' end
  if held > 0 then
    local holders = {}
    for i = 1, #records do
      if records[i].value then holders[#holders + 1] = holder_of(records[i]) end
    end
    return cjson.encode({ 'c', holders })
  end
  local highest
  for i = 1, #records do
    local fence = stale(records[i], token, value)
    if fence and (not highest or fence > highest) then highest = fence end
  end
  if highest then return cjson.encode({ 's', micros(highest) }) end
  return nil
end

-- A repeat of the request has taken the lease over: what its first asker still sends no longer speaks for it.
local function bind_again(records, value)
  local first
  for i = 1, #records do
    local r = records[i]
    if r.value == value then
      first = first or r
      r.binding, r.dirty = r.binding + 1, true
    end
  end
  return first
end

-- Rule a: what is known of this request id.
local function remembered(records, mkey, mdigest, value)
  local known = call('HMGET', KEYS[4] .. mkey, 'value', 'digest', 'why', 'until')
  local before, why = known[1], known[3]
  if not before or before == value then return nil end
  if why and tonumber(known[4]) <= now then return nil end
  if known[2] ~= mdigest then return 'x' end
  if why then return cjson.encode({ 'E', before, why }) end
  local held = false
  for i = 1, #records do held = held or records[i].value == before end
  if not held then return cjson.encode({ 'E', before, 'unknown' }) end
  -- An earlier attempt of this very request: no repeat, but a holder in its way.
  if string.match(before, '^(.-)|') == string.match(value, '^(.-)|') then return nil end
  local r = bind_again(records, before)
  local wrote = save_all(records)
  if wrote then return full(wrote) end
  return cjson.encode({ 'p', before, holder_of(r) })
end

local function write_marker(mkey, value, mdigest)
  call('DEL', KEYS[4] .. mkey)
  call('HSET', KEYS[4] .. mkey, 'value', value, 'digest', mdigest)
end

-- Writes all or nothing; name, token, ttl, body and its measures stand where both hold and repair have them.
local function take_all(records, kind, o, binding, flags)
  local expiry, body, from, length, till = now + o[4] * 1000, o[5], o[6], o[7], o[8]
  local value, head = sub(body, 1, length), sub(body, from, till)
  for i = 1, #records do
    local r = records[i]
    r.number, r.state, r.value, r.body, r.from, r.length, r.till = o[3], 'o', value, body, from, length, till
    r.expiry, r.binding = expiry, binding
    r.flags = flags + (r.flags > 0 and has(r.flags, RENEWED) and RENEWED or 0)
    event(r, kind, head, '')
  end
  return save_all(records)
end

local function hold(o)
  local number, value, mkey, mdigest = o[3], sub(o[5], 1, o[7]), o[10], o[11]
  local records = load_all(o[2])
  local marked = mkey ~= nil
  local known = marked and remembered(records, mkey, mdigest, value)
  if known then return answer(records, known) end
  local against = objection(records, value, number)
  if against then return answer(records, against) end
  if number > now + LEAD then
    local seen = o[9] or 0
    for i = 1, #records do
      local fence = records[i].number or 0
      if number > math.max(fence, seen) + SLACK then return answer(records, 'a') end
    end
  end
  local wrote = take_all(records, 'held', o, 0, marked and MARKED or 0)
  if wrote then return full(wrote) end
  if marked then
    for i = 1, #records do call('HSET', records[i].key, 'm', mkey .. '\31' .. mdigest) end
    write_marker(mkey, value, mdigest)
  end
  return 'h'
end

local function repair(o)
  local value, progress, mkey, mdigest = sub(o[5], 1, o[7]), o[10], o[11], o[12]
  local records = load_all(o[2])
  local against = objection(records, value, o[3])
  if against then return answer(records, against) end
  local flags = (mkey ~= '' and MARKED or 0) + (progress ~= '' and PROGRESS or 0)
  local wrote = take_all(records, 'renewed', o, o[9], flags)
  if wrote then return full(wrote) end
  for i = 1, #records do
    if mkey ~= '' then call('HSET', records[i].key, 'm', mkey .. '\31' .. mdigest) end
    if progress ~= '' then call('HSET', records[i].key, 'p', progress) end
  end
  if mkey ~= '' then
    local known = call('HMGET', KEYS[4] .. mkey, 'value', 'why', 'until')
    if not known[1] or (known[2] and tonumber(known[3]) <= now) then write_marker(mkey, value, mdigest) end
  end
  return 'h'
end

-- Why the lease is gone, from the newest event that names it.
local function why_missing(r, ref)
  local stored = call('HGETALL', r.key)
  local at, newest = -1, nil
  for i = 1, #stored, 2 do
    local slot = tonumber(stored[i])
    if slot then
      local kind, _, _, named = string.match(stored[i + 1], '^([^\31]*)\31([^\31]*)\31([^\31]*)\31([^\31]*)\31')
      -- The ring's age order: slots up to the newest belong to this turn, later ones to the turn before.
      local age = (r.slot - 1 - slot) % RING
      if named == ref and (at == -1 or age < at) then at, newest = age, kind end
    end
  end
  if newest == 'released' or newest == 'undone' then return 'released' end
  if newest == 'forced' or newest == 'expired' then return newest end
  return 'unknown'
end

local function renew(o)
  local value, ttl, ref, progress = o[4], o[5], o[6], o[7]
  local records = load_all(o[2])
  for i = 1, #records do
    if records[i].value ~= value then
      save_all(records)
      return cjson.encode({ 'm', why_missing(records[1], ref) })
    end
  end
  for i = 1, #records do
    local r = records[i]
    r.expiry = math.max(r.expiry, now + ttl * 1000)
    if progress ~= '' and not has(r.flags, PROGRESS) then r.flags = r.flags + PROGRESS end
    event(r, 'renewed', head_of(r), '')
  end
  local wrote = save_all(records)
  if wrote then return full(wrote) end
  if progress ~= '' then
    for i = 1, #records do call('HSET', records[i].key, 'p', progress) end
  end
  return cjson.encode({ 'e', holder_of(records[1]), marker_of(records[1]) })
end

-- HDEL is not refused when memory is full, and after a first write Redis lets the script finish: so a full node can
-- still let go.
local function save_at_any_cost(r)
  local wrote = save(r)
  if not wrote then return nil end
  call('HDEL', r.key, '-')
  return save(r)
end

-- What a release does to a resource that it holds.
local function let_go(r, token, why, reason)
  local mkey, value = marker_of(r), r.value
  if not r.number or r.number <= token then set_fence(r, token, STATE[why]) end
  event(r, why, head_of(r), reason)
  vacate(r)
  local wrote = save_at_any_cost(r)
  if wrote or mkey == '' then return wrote end
  if why ~= 'undone' then
    end_marker(mkey, value, why, MEMORY)
  elseif call('HGET', KEYS[4] .. mkey, 'value') == value then
    call('DEL', KEYS[4] .. mkey)
  end
  return nil
end

-- Closing where nothing matched: a late vote of this token must find the door shut.
local function close_unheld(r, number, value, why, seen)
  local fence = r.number
  if number > math.max(now + LEAD, (fence or 0) + SLACK, seen + SLACK) then return nil end
  if fence then
    if number < fence or (number == fence and not opened_by(r, value)) then return nil end
  elseif number <= floor then
    return nil
  end
  set_fence(r, number, STATE[why])
  return save_at_any_cost(r)
end

local function release(o)
  local token, value, why, reason, closing = o[3], o[4], o[5] or 'released', o[6] or '', o[7] == 1
  local binding, seen, mkey = o[8] or -1, o[9] or 0, o[10] or ''
  local records = load_all(o[2])
  local matched, held, wrote = false, false, nil
  for i = 1, #records do
    local r = records[i]
    if r.value == value then
      if binding < 0 or r.binding <= binding then
        matched = true
        wrote = wrote or let_go(r, token, why, reason)
      else
        held = true
      end
    elseif closing then
      wrote = wrote or close_unheld(r, token, value, why, seen)
    end
  end
  if mkey ~= '' and why == 'undone' and not held and call('HGET', KEYS[4] .. mkey, 'value') == value then
    call('DEL', KEYS[4] .. mkey)
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
  local before = first.value and holder_of(first)
  if not before or (ref ~= '' and before[2] ~= ref) then
    save(first)
    if closed == 'amnesia' then return silent(closed, closed_detail) end
    return cjson.encode({ 'f', '', false })
  end
  local value, token = first.value, tonumber(before[3])
  local named = cjson.decode(before[6]).resources or { name }
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
  for back = 1, math.min(most, RING) do
    local stored = call('HGET', r.key, slot_name((r.slot - back) % RING))
    if not stored then break end
    events[back] = stored
  end
  return events
end

local function view(r, history)
  local holder = false
  if r.expiry > now then
    r.expiry = math.min(r.expiry, now + longest)
    holder = holder_of(r)
  end
  return { r.name, holder, fence_text(r), r.state, history_of(r, history) }
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
  return call('ZRANGEBYLEX', KEYS[2], from, to, 'LIMIT', 0, limit)
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
    local held = r.value ~= nil
    settle(r, MEMORY)
    if held and not r.value then expired = expired + 1 end
    local fence = r.number
    if not r.value and fence and fence + AGE < now then
      if fence > floor then
        floor = fence
        -- Before the fence goes, so that no moment exists without either.
        call('HSET', KEYS[1], 'floor', micros(fence))
      end
      call('DEL', r.key)
      call('ZREM', KEYS[2], r.name)
      dropped = dropped + 1
    else
      save(r)
    end
  end
  local next = ''
  if #names == limit then next = names[#names] end
  return cjson.encode({ 'w', next, expired, dropped })
end

return { h = hold, n = renew, p = repair, r = release, f = force, v = look, l = list, w = sweep,
  g = function() return 'g' end }
