-- Gives a key, or a field of a hash, that is set aside its name again.
-- name: under which it is set aside.
-- Returns '', or why nothing was done.
local aside = store()
local about = aside.read('key', name)
local kept = key.aside .. name
if not about or redis.call('EXISTS', kept) == 0 then
  aside.forget('key', name)
  return 'No key of this name is set aside.'
end
if about.field then
  if call('HSETNX', about.key, about.field, redis.call('GET', kept)) == 0 then
    return 'There is such a field again; remove it first.'
  end
  redis.call('DEL', kept)
elseif redis.call('RENAMENX', kept, about.key) == 0 then
  return 'There is a key of this name again; remove it first.'
end
aside.forget('key', name)
return ''
