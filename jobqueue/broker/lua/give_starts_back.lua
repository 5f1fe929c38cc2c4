-- Counts starts no longer that did not happen: the latest. What they pushed out of the list counted no more.
-- starts: the list of the last ones; number: of starts.
for _ = 1, tonumber(number) do
  call('LPOP', starts)
end
return 1
