package pressure

// Level is how short of a resource a node is.
type Level uint8

// Levels.
const (
	Normal Level = iota
	Medium
	High
)

// String is "normal", "medium" or "high".
func (l Level) String() string {
	switch l {
	case Medium:
		return "medium"
	case High:
		return "high"
	}
	return "normal"
}

// Resource is what a node may run short of.
type Resource uint8

// Resources, and the units of their measurements.
const (
	Disk     Resource = iota // free octets of the data folder's file system
	Inodes                   // free, in hundredths of a percent
	Memory                   // used by the process, in hundredths of a percent of what it may use
	Messages                 // in the spool
	resources
)

// unit says in a log line what its numbers count.
func (r Resource) unit() string {
	return [...]string{"octets free", "1/100 percent free", "1/100 percent used", "messages"}[r]
}

// String is the name that operators see.
func (r Resource) String() string {
	return [...]string{"disk", "inodes", "memory", "messages"}[r]
}

// Resources lists all.
func Resources() []Resource { return []Resource{Disk, Inodes, Memory, Messages} }

// grows says that more is worse.
func (r Resource) grows() bool { return r == Memory || r == Messages }

// Unknown is the measurement of what cannot be measured; it is no reason to refuse
// mail.
const Unknown = -1

// Threshold is from where on a level holds, in the unit of its resource.
type Threshold struct{ Medium, High int64 }

// Limits are the thresholds of all resources.
type Limits [resources]Threshold

// Sample is one measurement of all resources.
type Sample [resources]int64

// Change is a resource whose level is another.
type Change struct {
	Resource Resource
	From, To Level
	Value    int64
}

// Gauge remembers the levels. Its zero value has seen nothing: all is normal. It
// is not safe for use by several goroutines.
type Gauge struct{ levels [resources]Level }

// Judge takes a measurement in and tells what changed.
func (g *Gauge) Judge(l Limits, s Sample) (changes []Change) {
	for _, r := range Resources() {
		was := g.levels[r]
		now := r.level(l[r], s[r], was)
		if now != was {
			changes = append(changes, Change{r, was, now, s[r]})
			g.levels[r] = now
		}
	}
	return changes
}

// margin is how much more than a threshold must be free for its level to be left: a
// quarter, but of a share no more than half of what is above it, or there might be no
// such measurement.
func (r Resource) margin(threshold int64) int64 {
	if r == Inodes {
		return min(threshold/4, (100_00-threshold)/2)
	}
	return threshold / 4
}

// level is that of a measurement. What frees is left when there is a margin above the
// threshold, what grows when it is a tenth below.
func (r Resource) level(t Threshold, v int64, was Level) Level {
	if v == Unknown {
		return Normal
	}
	in := func(threshold int64, held bool) bool {
		switch {
		case r.grows() && held:
			return v >= threshold-threshold/10
		case r.grows():
			return v >= threshold
		case held:
			return v < threshold+r.margin(threshold)
		}
		return v < threshold
	}
	switch {
	case in(t.High, was == High):
		return High
	case in(t.Medium, was >= Medium):
		return Medium
	}
	return Normal
}

// Of is the level of one resource.
func (g *Gauge) Of(r Resource) Level { return g.levels[r] }

// Level is that of the resource that is shortest, the first of several.
func (g *Gauge) Level() (Level, Resource) {
	worst, at := Normal, Disk
	for _, r := range Resources() {
		if g.levels[r] > worst {
			worst, at = g.levels[r], r
		}
	}
	return worst, at
}
