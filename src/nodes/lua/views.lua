--[[
views.lua: what only reads, tidies or tells, by the rules of node.ts and line.ts, and every operation by its letter.

Last part of the votes script's function after ends.lua (concatenated by ../scripts.ts); uses KEYS[1] meta, KEYS[2]
names and KEYS[6] (layout.lua).
]]
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

-- A live holder as views show it: a look changes nothing, so an end too far away is cut in the copy.
local function holder_shown(r, h)
  if h.expiry <= now then return false end
  h.expiry = math.min(h.expiry, now + longest)
  return shown(r, h)
end

local function view(r, history, line)
  local readers, alive = readers_of(r), {}
  for i = 1, #readers do
    local told = holder_shown(r, readers[i])
    if told then alive[#alive + 1] = told end
  end
  return { r.name, holder_shown(r, r), fence_text(r), r.state, history_of(r, history), alive, line_shown(r, line) }
end

local function look(o)
  local r = load(o[2], true)
  if r.fresh then return cjson.encode({ 'v', false }) end
  return cjson.encode({ 'v', view(r, o[3], o[4] or 0) })
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
  for i = 1, math.min(#names, o[4]) do views[i] = view(load(names[i], true), 0, 0) end
  return cjson.encode({ 'l', views, #names > o[4] })
end

-- How many holders of it had expired, and whether it was dropped.
local function tidy(name)
  local r = load(name)
  local before_it = (r.value and 1 or 0) + #readers_of(r)
  settle(r, MEMORY)
  front(r)
  local expired = before_it - (r.value and 1 or 0) - #readers_of(r)
  local fence = r.number
  local in_use = r.value or has(r.flags, SHARED) or has(r.flags, QUEUED)
  if not in_use and (not fence or fence + AGE < now) then
    if fence and fence > floor then
      floor = fence
      -- Before the fence goes, so that no moment exists without either.
      call('HSET', KEYS[1], 'floor', micros(fence))
    end
    call('DEL', r.key, BESIDE .. 'x:' .. r.name, BESIDE .. 's:' .. r.name)
    call('ZREM', KEYS[2], r.name)
    loaded[r.name] = nil
    return expired, 1
  end
  save(r)
  return expired, 0
end

local function sweep(o)
  local limit, expired, dropped = o[3], 0, 0
  local names = range_after(o[2], '', limit)
  for i = 1, #names do
    -- What cannot be read stays as it is, and what stands behind it is tidied all the same.
    local read, ended, gone = protected(tidy, names[i])
    if read then
      expired, dropped = expired + ended, dropped + gone
    else
      loaded[names[i]] = nil
    end
  end
  local next = ''
  if #names == limit then next = names[#names] end
  return cjson.encode({ 'w', next, expired, dropped })
end

local function waits(o)
  local found, told = waits_of(o[2]), {}
  for i = 1, #found do told[i] = waiter_shown(found[i][1], found[i][2]) end
  return cjson.encode({ 'o', told })
end

-- Step 3 for each of the first entries: dead ones behind a live one go, too.
local function bury(r, most)
  if not has(r.flags, QUEUED) then return end
  local ids = call('ZRANGE', BESIDE .. 'q:' .. r.name, 0, most - 1)
  for i = 1, #ids do
    local w, dead = waiter(ids[i])
    if not w then
      take_off(r, ids[i])
      forget_waiter(ids[i], dead and dead[6])
    end
  end
end

local function settle_these(o)
  local records = load_all(o[2])
  if o[3] then
    for i = 1, #records do bury(records[i], o[3]) end
  end
  save_all(records)
  return 't'
end

local function watch(o)
  local till, known = now + o[2] * 1000, call('HGET', KEYS[1], 'watch')
  if not known or tonumber(known) < till or tonumber(known) > now + 60000000 then
    call('HSET', KEYS[1], 'watch', micros(till))
  end
  watched = true
  return 'k'
end

local function tell(o)
  if watched then
    local names = names_of(o[2])
    for i = 1, #names do
      local news = { names[i], 'lost', micros(now), micros(o[3]), o[4], o[5], o[6], '0' }
      pcall('PUBLISH', BESIDE .. 'news', table.concat(news, '\31'))
    end
  end
  return 'T'
end

-- A node that cannot write cannot vote, and shall not look as if it could: memory full, read-only, a disk that fails.
-- Nothing is put at the start of nothing, which writes nothing.
local function ping()
  local refused = pcall('SETRANGE', BESIDE .. '-', 0, '')
  return type(refused) == 'table' and full(refused) or 'g'
end

return { h = hold, n = renew, p = repair, r = release, f = force, v = look, l = list, w = sweep, j = join, y = leave,
  o = waits, s = settle_these, k = watch, t = tell, g = ping, V = reveal, B = bar }
