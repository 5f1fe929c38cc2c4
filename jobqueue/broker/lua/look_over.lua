-- Sets aside keys of a type that the job queue never gives them.
-- most: how many fields the hash of the counters has at most; expected: name, kind; a key and its type.
-- Returns how many were set aside.
local found = 0
for <<expected>> in expected() do
  local is = redis.call('TYPE', name).ok
  if is ~= kind and is ~= 'none' then
    store().set_aside(name, 'the job queue did not write it, it should be a ' .. kind)
    found = found + 1
  end
end
if call('HLEN', key.counters) > tonumber(most) then
  store().set_aside(key.counters, 'the job queue did not write so many fields')
  found = found + 1
end
return found
