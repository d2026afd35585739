--[[
readers.lua: shared holders, and whatever is the same for them and an exclusive one.

Part of the votes script after record.lua (concatenated by ../scripts.ts); uses KEYS[6] (layout.lua).

Each reader is a field of the hash s:NAME, called by its value, packed {expiry, binding, body, from, length, till,
progress, marker key, marker digest}. A HOLDER below is a reader as a table, or the record itself for the exclusive one.
]]
-- What one answer names at most of the readers of one resource.
local READERS_SHOWN = 64

-- By bytes: Lua compares texts by the locale.
local function before(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then return x < y end
  end
  return #a < #b
end

local function readers_of(r)
  if r.readers then return r.readers end
  local readers = {}
  if r.flags > 0 and has(r.flags, SHARED) then
    local stored = call('HGETALL', BESIDE .. 's:' .. r.name)
    for i = 1, #stored, 2 do
      local p = cmsgpack.unpack(stored[i + 1])
      readers[#readers + 1] = { value = stored[i], expiry = p[1], binding = p[2], body = p[3], from = p[4],
        length = p[5], till = p[6], progress = p[7], mkey = p[8], mdigest = p[9] }
    end
    table.sort(readers, function(a, b) return before(a.value, b.value) end)
    r.readers = readers
  end
  return readers
end

-- Writes and deletes what has changed; the header, whose write may be refused, has been written.
write_readers = function(r)
  local key = BESIDE .. 's:' .. r.name
  -- First: one that ended may have come back in the same operation.
  if r.gone then
    for i = 1, #r.gone do call('HDEL', key, r.gone[i]) end
    r.gone = nil
  end
  for i = 1, #r.readers do
    local h = r.readers[i]
    if h.dirty then
      h.dirty = nil
      call('HSET', key, h.value, cmsgpack.pack({ h.expiry, h.binding, h.body, h.from, h.length, h.till, h.progress,
        h.mkey, h.mdigest }))
    end
  end
end

local function add_reader(r, h)
  local readers = readers_of(r)
  if not has(r.flags, SHARED) then r.flags = r.flags + SHARED end
  h.dirty, r.dirty, r.readers = true, true, readers
  for i = 1, #readers do
    if before(h.value, readers[i].value) then
      table.insert(readers, i, h)
      return
    end
  end
  readers[#readers + 1] = h
end

local function drop_reader(r, h)
  local readers = readers_of(r)
  for i = 1, #readers do
    if readers[i] == h then
      table.remove(readers, i)
      break
    end
  end
  r.gone = r.gone or {}
  r.gone[#r.gone + 1] = h.value
  if #readers == 0 then r.flags = r.flags - SHARED end
  r.dirty, r.moved = true, true
end

-- Whoever holds this record by exactly this value.
local function held_by(r, value)
  if r.value == value then return r end
  if r.flags < SHARED or not has(r.flags, SHARED) then return nil end
  local readers = readers_of(r)
  for i = 1, #readers do
    if readers[i].value == value then return readers[i] end
  end
  return nil
end

local function head_of(h)
  return sub(h.body, h.from, h.till)
end

local function owner_of(h)
  return string.match(head_of(h), '^[^\31]*\31[^\31]*\31(.*)$')
end

local function marker_key(r, h)
  if h ~= r then return h.mkey, h.mdigest end
  return marker_of(r)
end

local function let_holder_go(r, h)
  if h == r then vacate(r) else drop_reader(r, h) end
end

-- Step 2 of every vote: cut an impossible expiry, forget a holder whose time is up.
local function settle_holder(r, h, memory)
  if h.expiry > now + longest then
    h.expiry = now + longest
    h.dirty, r.dirty = true, true
  end
  if h.expiry <= now then
    event(r, 'expired', head_of(h), '')
    end_marker(marker_key(r, h), h.value, 'expired', memory)
    let_holder_go(r, h)
  end
end

local function settle(r, memory)
  if r.expiry > 0 then settle_holder(r, r, memory) end
  if r.flags >= SHARED and has(r.flags, SHARED) then
    local readers, all = readers_of(r), {}
    for i = 1, #readers do all[i] = readers[i] end
    for i = 1, #all do settle_holder(r, all[i], memory) end
  end
end

local function shown(r, h)
  local token, ref, owner = string.match(head_of(h), '^([^\31]*)\31([^\31]*)\31(.*)$')
  local progress = h.progress or ''
  if h == r then progress = has(r.flags, PROGRESS) and call('HGET', r.key, 'p') or '' end
  local remaining = math.floor((h.expiry - now) / 1000)
  return { r.name, ref, token, owner, remaining, sub(h.body, h.till + 1), h.binding, progress }
end

-- Rule c: who stands in the way of `value`; `partly`: it holds some, and with that itself stands in its way.
local function in_the_way(r, value, shared, partly)
  local found = {}
  if r.value and (partly or r.value ~= value) then found[1] = r end
  if not has(r.flags, SHARED) then return found end
  local readers, secret, most = readers_of(r), string.match(value, '^(.-)|'), READERS_SHOWN + #found
  for i = 1, #readers do
    local h = readers[i]
    local ours = string.match(h.value, '^(.-)|') == secret
    if (partly or h.value ~= value) and (not shared or ours) and #found < most then found[#found + 1] = h end
  end
  return found
end

-- The last change of the fence that was not a reader's.
local function writer_of(r)
  if has(r.flags, READ) then return tonumber(call('HGET', r.key, 'x')) end
  return r.number or 0
end

local function is_shut(r, token)
  return call('ZSCORE', BESIDE .. 'x:' .. r.name, micros(token)) ~= false
end

-- A close that the fence itself cannot tell, for it is a later reader's or may become one's.
local function shut_below(r, token)
  if not has(r.flags, READ) or token > r.number or token <= writer_of(r) then return end
  local key = BESIDE .. 'x:' .. r.name
  call('ZREMRANGEBYSCORE', key, '-inf', micros(now - 2 * longest))
  call('ZADD', key, micros(now), micros(token))
end
