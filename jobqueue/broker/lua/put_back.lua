-- Puts messages that were claimed in vain back at the front of their queue, in their order.
-- queue; worker: its id; backwards: the ids of the messages, the last one first.
local number = number_of_list(queue)
for message in backwards() do
  call('ZREM', key.started .. queue, message .. ':' .. worker)
  call('HSET', key.job .. message, 'status', 'queued', 'list', number)
  call('LPUSH', key.list .. queue, message)
end
return 1
