package routing

// ConnectorState says whether mail can leave over a connector now, and if not
// why; not ok if the topology has no such connector.
func (t *Table) ConnectorState(connector GUID) (up bool, reason string, ok bool) {
	i, ok := t.connAt.get(connector)
	if !ok {
		return false, "", false
	}
	if t.conns[i].state == stateUp {
		return true, "", true
	}
	return false, t.down(i), true
}
