-- Puts a message that is set aside back at the end of its queue, where it is judged anew.
-- name: under which it is set aside.
-- Returns '', or why nothing was done.
local aside = store()
local about = aside.read('message', name)
if not about then
  return 'No message of this name is set aside.'
end
local kept = key.aside .. 'message ' .. name
local message = about.id or redis.call('GET', kept)
local is_quarantined = message and (not about.id or call('ZSCORE', key.failed .. about.queue, message))
aside.forget('message', name)
redis.call('DEL', kept)
if not is_quarantined then
  return 'The message is not in quarantine any more.'
end
call('ZREM', key.failed .. about.queue, message)
call('ZREM', key.foreign .. about.queue, message)
if aside.type_of(key.job .. message) == 'hash' then
  call('HSET', key.job .. message, 'status', 'queued')
  call('HDEL', key.job .. message, 'exc_info')
end
call('RPUSH', key.list .. about.queue, message)
call('SADD', key.queues, key.list .. about.queue)
ring(about.queue)
return ''
