# The worked example of the original's manual: Seattle to Brussels costs 20 over
# London and 30 over Tokyo; London's bridgehead fails and the mail goes by Tokyo.
|                 london-bh
|              10/         \10
|               /           \
|   seattle-bh, seattle-mbx  brussels-bh, brussels-mbx
|               \           /
|              10\         /20
|                 tokyo-bh
server seattle-bh seattle
server seattle-mbx seattle
server london-bh london
server tokyo-bh tokyo
server brussels-bh brussels
server brussels-mbx brussels
rgc seattle-london seattle london 10 local=seattle-bh remote=london-bh
rgc london-seattle london seattle 10 local=london-bh remote=seattle-bh
rgc london-brussels london brussels 10 local=london-bh remote=brussels-bh
rgc brussels-london brussels london 10 local=brussels-bh remote=london-bh
rgc seattle-tokyo seattle tokyo 10 local=seattle-bh remote=tokyo-bh
rgc tokyo-seattle tokyo seattle 10 local=tokyo-bh remote=seattle-bh
rgc tokyo-brussels tokyo brussels 20 local=tokyo-bh remote=brussels-bh
rgc brussels-tokyo brussels tokyo 20 local=brussels-bh remote=tokyo-bh
self seattle-mbx

# The sender's server hands over to its bridgehead, which crosses to London.
ask server brussels-mbx
ask server brussels-mbx from=seattle-bh
# What is on its way decides again in London, then crosses inside Brussels.
ask server brussels-mbx from=london-bh visited=seattle,london
ask server brussels-mbx from=brussels-bh visited=seattle,london,brussels
set london-bh down
ask server brussels-mbx from=seattle-bh
ask server brussels-mbx from=tokyo-bh visited=seattle,tokyo
# Only the second half of the way fails: London sends nothing back to Seattle.
set london-bh up
set london-brussels down=london-bh
ask server brussels-mbx from=seattle-bh
ask server brussels-mbx from=london-bh visited=seattle,london
# Nothing is left: the mail waits, and leaves by itself when the link returns.
set tokyo-brussels down=tokyo-bh
ask server brussels-mbx from=seattle-bh
set london-brussels up
ask server brussels-mbx from=seattle-bh
