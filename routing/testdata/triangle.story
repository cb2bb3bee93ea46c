|            london-1  london-2
|             /             \
|          10/               \10
|           /                 \
|   paris-1, paris-2 --50-- tokyo-1
|
server paris-1 paris
server paris-2 paris
server london-1 london
server london-2 london
server tokyo-1 tokyo
rgc paris-london paris london 10 local=paris-1,paris-2 remote=london-1,london-2
rgc london-paris london paris 10 local=london-1,london-2 remote=paris-1,paris-2
rgc london-tokyo london tokyo 10 local=london-1,london-2 remote=tokyo-1
rgc tokyo-london tokyo london 10 local=tokyo-1 remote=london-1,london-2
rgc paris-tokyo paris tokyo 50 local=paris-1 remote=tokyo-1
rgc tokyo-paris tokyo paris 50 local=tokyo-1 remote=paris-1,paris-2
self paris-1

ask server paris-1
ask server paris-2
ask server london-2
ask server tokyo-1
ask server nobody

# One of two remote bridgeheads dies: the other gets the mail.
set london-1 down
ask server tokyo-1
# Both die: the dearer way is left.
set london-2 down
ask server tokyo-1
ask server tokyo-1 from=paris-2
ask server london-1
set london-1 up
set london-2 up

# A bridgehead that cannot send hands over to one that can.
set paris-london down=paris-1
ask server london-1
set paris-london down=paris-1,paris-2
ask server london-1
# In transit: what came from London is not sent back there.
ask server london-1 visited=london,paris
set paris-london up
# The only way leads back.
set tokyo-london down=tokyo-1
ask server london-1 from=tokyo-1 visited=paris,tokyo
set tokyo-london up

# A destination that is down is waited for, near it.
set paris-2 down
ask server paris-2
set paris-2 up

# Drained: soft is the last resort, hard none at all; own mail still leaves.
set london-1 drain=soft
ask server tokyo-1
set london-2 drain=soft
ask server tokyo-1
set london-1 drain=hard
set london-2 drain=hard
ask server tokyo-1
ask server tokyo-1 from=london-1
set london-1 up
set london-2 up
set paris-1 drain=hard
ask server tokyo-1
ask server tokyo-1 from=paris-2
