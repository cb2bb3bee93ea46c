# Groups that only a smart host joins: an SMTP connector that names the groups it
# leads to is an edge like any other, with the cost for each of them.
|   hub-1 ==isp== (smart host) ---5--- east-1
|     |                        ---9--- west-1 --2-- east-1
|     +--30-- east-1
server hub-1 hub
server east-1 east
server west-1 west
smtp isp hub local=hub-1 to=east;5,west;9 space=SMTP:*;1
rgc hub-east hub east 30 local=hub-1 remote=east-1
rgc west-east west east 2 local=west-1 remote=east-1
self hub-1
ask server east-1
ask server west-1
ask address SMTP example.com
# The smart host is away: the leased line is left, and west waits.
set isp down=hub-1
ask server east-1
ask server west-1
# Held: its mail stays here although there is another way.
set isp hold
ask server east-1
ask address SMTP example.com
# Disabled is no failure: hold does not count.
set isp disabled
ask server east-1
ask address SMTP example.com
# A message is never sent into a group twice. It is held, and says why.
set isp disabled=no
set isp up
ask server east-1 visited=east,hub
ask server east-1 visited=west,hub
