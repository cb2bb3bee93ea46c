package spool

// Fault points, in the order of a message's life. The package documentation
// says what a crash at each leaves.
const (
	faultOpenCreated      = "open.created"
	faultOpenMarked       = "open.marked"
	faultBodyChunk        = "body.chunk"
	faultBodyChunkWritten = "body.chunk.written"
	faultBodySynced       = "body.synced"
	faultBodyDiscarded    = "body.discarded"
	faultAcceptBegin      = "accept.begin"
	faultAcceptSynced     = "accept.synced"
	faultPlanBegin        = "plan.begin"
	faultPlanApplied      = "plan.applied"
	faultSettleBegin      = "settle.begin"
	faultSettleApplied    = "settle.applied"
	faultSettleSynced     = "settle.synced"
	faultRemoveBegin      = "remove.begin"
	faultRemoveApplied    = "remove.applied"
	faultRemoveSynced     = "remove.synced"
	faultAsideBegin       = "aside.begin"
	faultAsideSynced      = "aside.synced"
	faultSweepBegin       = "sweep.begin"
	faultSweepDone        = "sweep.done"
)

// FaultPoints lists the points at which Options.Faults is called. An error
// returned at a point fails the call there: at one that ends in "begin" (and at
// "body.chunk") before anything was done, at others after it was done, as if the
// process had died before it could tell.
func FaultPoints() []string {
	return []string{
		faultOpenCreated, faultOpenMarked,
		faultBodyChunk, faultBodyChunkWritten, faultBodySynced, faultBodyDiscarded,
		faultAcceptBegin, faultAcceptSynced,
		faultPlanBegin, faultPlanApplied,
		faultSettleBegin, faultSettleApplied, faultSettleSynced,
		faultRemoveBegin, faultRemoveApplied, faultRemoveSynced,
		faultAsideBegin, faultAsideSynced,
		faultSweepBegin, faultSweepDone,
	}
}

func (s *Spool) fault(point string) error {
	if s.faults == nil {
		return nil
	}
	return s.faults(point)
}
