-- Puts messages that were claimed in vain back at the front of their queue, in their order.
-- ARGV: prefix, queue, worker id, then the messages.
local prefix, queue, worker = ARGV[1], ARGV[2], ARGV[3]
-- As publish.lua numbers the lists.
local number = redis.call('GET', prefix .. ':jobqueue:list:' .. queue) or ''
for i = #ARGV, 4, -1 do
  redis.call('ZREM', prefix .. ':wip:' .. queue, ARGV[i] .. ':' .. worker)
  redis.call('HSET', prefix .. ':job:' .. ARGV[i], 'status', 'queued', 'list', number)
  redis.call('LPUSH', prefix .. ':queue:' .. queue, ARGV[i])
end
return 1
