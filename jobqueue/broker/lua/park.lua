-- Forgets messages that were claimed and whose jobs are parked.
-- worker: its id; messages: queue, id.
for <<messages>> in messages() do
  call('ZREM', key.started .. queue, id .. ':' .. worker)
  -- Not to delete what somebody else put there: on that this command fails.
  call('HLEN', key.job .. id)
  redis.call('DEL', key.job .. id)
end
return 1
