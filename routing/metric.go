package routing

// metric is the length of a path: bits 52..63 count drained connectors, bits
// 20..51 sum the costs, bits 0..19 count hops. So the order of numbers is the
// order of preference, and a drained connector is dearer than any path without
// one. With at most [MaxCost] for each of at most 2^20 hops nothing overflows;
// Build leaves out groups beyond that number.
type metric uint64

const (
	hopBits               = 20
	costBits              = 32
	maxGroups             = 1 << hopBits
	oneHop         metric = 1
	oneDrain       metric = 1 << (hopBits + costBits)
	noPath                = ^metric(0)
	maxDrainOnPath        = 1<<(64-hopBits-costBits) - 1
)

func costMetric(cost int) metric { return metric(min(max(cost, 1), MaxCost)) << hopBits }

// cost is the sum of costs, without drains and hops.
func (m metric) cost() int { return int(m >> hopBits & (1<<costBits - 1)) }

func (m metric) hops() int { return int(m & (maxGroups - 1)) }

func (m metric) drains() int { return int(m / oneDrain) }

// plus adds a step; the count of drained connectors stops at its maximum, which
// keeps any path dearer for each drained connector up to the 4095th.
func (m metric) plus(step metric) metric {
	if m.drains() == maxDrainOnPath && step >= oneDrain {
		step -= oneDrain
	}
	return m + step
}

// price is what candidates are compared by: drains and costs, not hops.
func (m metric) price() metric { return m >> hopBits }
