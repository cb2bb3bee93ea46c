package pipeline

import "testing"

func TestDescriptorShares(t *testing.T) {
	in, out := inboundShare(), outboundShare()
	if in < 100 || in%3 != 0 || out < 16 || in+out >= descriptors() {
		t.Errorf("of %d descriptors %d are for clients and %d for other hosts", descriptors(), in, out)
	}
}
