|   a-1 --10-- b-1      size 1000, no system
|     \          |
|      20        10
|       \        |
|        c-1 --- d-1    10, high only
|
server a-1 a
server b-1 b
server c-1 c
server d-1 d
rgc ab a b 10 local=a-1 remote=b-1 size=1000 nosystem
rgc bd b d 10 local=b-1 remote=d-1
rgc ac a c 20 local=a-1 remote=c-1
rgc cd c d 10 local=c-1 remote=d-1 priorities=high
self a-1
ask server d-1 size=500
ask server d-1 size=2000
ask server d-1 size=2000 priority=1
ask server d-1 size=500 system
ask server d-1 size=500 system priority=1
ask server b-1 size=2000
ask server b-1 system
ask server c-1 size=2000 system priority=-1
# Only waiting helps where connectors are down, only a report where they forbid.
set ac down=a-1
ask server d-1 size=2000 priority=1
ask server d-1 size=2000
# Hold: the way stays chosen.
set ac up
set ab down=a-1 hold
ask server d-1
set ab up
set bd down=b-1 hold
ask server d-1
ask server d-1 from=b-1
