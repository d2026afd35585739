--[[
renew.lua: RENEW by the rules of node.ts.

Part of the votes script after votes.lua (concatenated by ../scripts.ts), in the same function.
]]
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

-- The newest binding of these holders, if it does not let this one in.
local function newer_binding(held, binding, binds)
  local newest = 0
  for i = 1, #held do newest = math.max(newest, held[i].binding) end
  if binding < newest or (binds and binding == newest) then return newest end
  return nil
end

local function renew(o)
  local value, ttl, ref, progress, binding = o[4], o[5], o[6], o[7], o[8]
  local records, held, waited = load_all(o[2]), {}, false
  for i = 1, #records do
    held[i] = held_by(records[i], value)
    if not held[i] then
      -- First, for its end may be what step 2 has just found.
      save_all(records)
      return cjson.encode({ 'm', why_missing(records[1], ref) })
    end
    waited = waited or has(records[i].flags, QUEUED)
  end
  local newer = binding and newer_binding(held, binding, o[9] == 1)
  if newer then return answer(records, cjson.encode({ 'b', newer })) end
  for i = 1, #records do
    local r, h = records[i], held[i]
    h.expiry, h.dirty, r.dirty = math.max(h.expiry, now + ttl * 1000), true, true
    h.binding = binding or h.binding
    if progress ~= '' then
      if h ~= r then h.progress = progress
      elseif not has(r.flags, PROGRESS) then r.flags = r.flags + PROGRESS end
    end
    event(r, 'renewed', head_of(h), '', h.expiry - now)
  end
  local wrote = save_all(records)
  if wrote then return full(wrote) end
  if progress ~= '' then
    for i = 1, #records do
      if held[i] == records[i] then call('HSET', records[i].key, 'p', progress) end
    end
  end
  local mkey, mdigest = marker_key(records[1], held[1])
  return cjson.encode({ 'e', shown(records[1], held[1]), mkey, mdigest, waited })
end
