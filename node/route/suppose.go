package route

import (
	"fmt"
	"slices"

	"github.com/postroad/postroad/routing"
)

// Supposition is what might happen to a map.
type Supposition struct {
	// Down are connectors, by name, that no bridgehead could send over.
	Down []string
	// Costs are by name of the connector, 1 to 100: of each group it leads to and
	// of each of its address spaces.
	Costs map[string]int
	// Drains are by name of a server or connector.
	Drains map[string]routing.Drain
}

// Apply gives the map as it would be; top is not changed. It fails for names
// that the map does not have.
func (s Supposition) Apply(top routing.Topology) (routing.Topology, error) {
	top.Servers, top.Connectors = slices.Clone(top.Servers), slices.Clone(top.Connectors)
	for _, name := range s.Down {
		c := connectorNamed(&top, name)
		if c == nil {
			return top, noConnector(name)
		}
		c.Bridgeheads = slices.Clone(c.Bridgeheads)
		for i := range c.Bridgeheads {
			if b := &c.Bridgeheads[i]; b.Up {
				b.Up, b.Reason, b.SinceMS = false, "supposed to be down", 0
			}
		}
	}
	for name, cost := range s.Costs {
		c := connectorNamed(&top, name)
		if c == nil {
			return top, noConnector(name)
		}
		if cost < 1 || cost > 100 {
			return top, fmt.Errorf("cost of %s: %d must be 1 to 100", name, cost)
		}
		reprice(c, cost)
	}
	for name, d := range s.Drains {
		if !drainNamed(&top, name, d) {
			return top, fmt.Errorf("drain: no Server and no connector is called %q; `postroadctl topology show` lists them", name)
		}
	}
	return top, nil
}

func noConnector(name string) error {
	return fmt.Errorf("no connector is called %q; `postroadctl topology show` lists them", name)
}

func connectorNamed(top *routing.Topology, name string) *routing.Connector {
	i := slices.IndexFunc(top.Connectors, func(c routing.Connector) bool { return c.Name == name })
	if i < 0 {
		return nil
	}
	return &top.Connectors[i]
}

func reprice(c *routing.Connector, cost int) {
	c.Targets, c.AddressSpaces = slices.Clone(c.Targets), slices.Clone(c.AddressSpaces)
	for i := range c.Targets {
		c.Targets[i].Cost = cost
	}
	for i := range c.AddressSpaces {
		c.AddressSpaces[i].Cost = cost
	}
}

// drainNamed drains servers before connectors of the same name.
func drainNamed(top *routing.Topology, name string, d routing.Drain) bool {
	if i := slices.IndexFunc(top.Servers, func(s routing.Server) bool { return s.Name == name }); i >= 0 {
		top.Servers[i].Drain = d
		return true
	}
	c := connectorNamed(top, name)
	if c != nil {
		c.Drain = d
	}
	return c != nil
}
