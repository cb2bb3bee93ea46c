package linkstate

import "testing"

// Of servers that no chain of streams leads to, by the directory, nothing can be heard
// any more: neither that they live nor that they died. What was heard once is not
// kept, nor taken from somebody whose directory is older. When a connector joins them
// again they are asked for.
func TestWhoCannotBeHeardIsUnknown(t *testing.T) {
	b := newBench(t)
	b.up(mate, far)
	b.receive(far, alive(far, 7, 1), alive(there2, 7, 1))
	b.receive(mate, alive(mate, 7, 1), alive(far2, 7, 1))

	whole, cut := testMembers(), testMembers()
	cut.Connectors = cut.Connectors[1:] // nothing leads to there any more
	b.do(b.m.Configure(cut, testTimings, b.now))
	b.wantStatus(far, 0)
	b.wantStatus(there2, 0)
	b.wantStatus(far2, Alive)
	b.wantStatus(mate, Alive)
	b.receive(mate, alive(there2, 8, 1))
	b.wantStatus(there2, 0)

	// A connector that leads back is as good, and so is one of somebody else.
	cut.Connectors = append(cut.Connectors, ConnectorInfo{GUID: GUID{9, 'c'}, Group: there, Local: []GUID{far}, Remote: []GUID{far2}})
	b.clear()
	b.do(b.m.Configure(cut, testTimings, b.now))
	wanted := 0
	for _, e := range b.did {
		if s, ok := e.(Send); ok {
			if w, ok := s.Frame.(*Want); ok && s.Peer == mate {
				wanted += len(w.Servers)
			}
		}
	}
	if wanted != 2 {
		t.Errorf("%d servers were asked for, want far and there2", wanted)
	}
	b.receive(mate, alive(there2, 8, 1))
	b.wantStatus(there2, Alive)

	// One that names a server which the directory does not have leads nowhere.
	whole.Connectors[0].Remote = []GUID{{77, 's'}}
	b.do(b.m.Configure(whole, testTimings, b.now))
	b.wantStatus(there2, 0)
}
