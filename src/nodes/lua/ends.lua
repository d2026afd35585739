--[[
ends.lua: RELEASE, FORCE, REVEAL and BAR by the rules of node.ts, at length.

Part of the votes script after renew.lua (concatenated by ../scripts.ts), in the same function; uses KEYS[4] marker
prefix.
]]
-- HDEL is not refused when memory is full, and after a first write Redis lets the script finish: so a full node can
-- still let go.
local function save_at_any_cost(r)
  local wrote = save(r)
  if not wrote then return nil end
  call('HDEL', r.key, '-')
  return save(r)
end

-- What a release does to a resource that it holds.
local function let_go(r, h, token, why, reason)
  local mkey, value = marker_key(r, h), h.value
  if not r.number or r.number <= token then
    set_fence(r, token, STATE[why])
  end
  shut_below(r, token)
  event(r, why, head_of(h), reason)
  let_holder_go(r, h)
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
    shut_below(r, number)
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
  quiet = why == 'released'
  for i = 1, #records do
    local r = records[i]
    local h = held_by(r, value)
    if h then
      if binding < 0 or h.binding <= binding then
        matched = true
        wrote = wrote or let_go(r, h, token, why, reason)
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
  if not wrote then save_all(records) end
  quiet = false
  if wrote then return full(wrote) end
  if matched then return 'R' end
  if closed == 'amnesia' then return silent(closed, closed_detail) end
  return 'r'
end

-- Whom a force is about: the exclusive holder, the first reader, or whoever is named.
local function forced_holder(r, ref)
  local holders = conflicting(r, 0)
  if ref ~= '' then
    holders = { r.value and r or nil }
    local readers = readers_of(r)
    for i = 1, #readers do holders[#holders + 1] = readers[i] end
  end
  for i = 1, #holders do
    local told = shown(r, holders[i])
    if ref == '' or told[2] == ref then return holders[i], told end
  end
  return nil
end

local function force(o)
  local name, ref, reason = o[2], o[3], o[4]
  local first = load_all(name)[1]
  local h, told = forced_holder(first, ref)
  if not h then
    save(first)
    if closed == 'amnesia' then return silent(closed, closed_detail) end
    return cjson.encode({ 'f', '', false })
  end
  local value, token = h.value, tonumber(told[3])
  local named = cjson.decode(told[6]).resources or { name }
  local wrote = let_go(first, h, token, 'forced', reason)
  for i = 1, #named do
    if named[i] ~= name then
      local other = load_all(named[i])[1]
      local also = held_by(other, value)
      if also then
        wrote = wrote or let_go(other, also, token, 'forced', reason)
      else
        save(other)
      end
    end
  end
  if wrote then return full(wrote) end
  pcall('PUBLISH', BESIDE .. 'forced', told[2])
  return cjson.encode({ 'f', value, told })
end

local function reveal(o)
  local r = load_all(o[2])[1]
  local h, told = forced_holder(r, o[3])
  return answer({ r }, cjson.encode({ 'V', h and h.value or '', told or false }))
end

local function bar(o)
  local token, value, shared = o[3], o[4], o[5] == 1
  local records = load_all(o[2])
  for i = 1, #records do
    if held_by(records[i], value) then return answer(records, cjson.encode({ 'B', true, false })) end
  end
  local wrote, barred = nil, true
  for i = 1, #records do
    local r = records[i]
    wrote = wrote or close_unheld(r, token, value, 'undone', 0)
    barred = barred and stale(r, token, value, true) ~= nil and not (shared and may_return(r, token))
  end
  if wrote then return full(wrote) end
  return answer(records, cjson.encode({ 'B', false, barred }))
end
