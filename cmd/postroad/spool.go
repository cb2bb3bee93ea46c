package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/queue"
	"github.com/postroad/postroad/store/spool"
)

// spoolCommand looks at a spool whose node does not run.
func spoolCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "spool",
		Short: "Check the spool of a node that does not run, and carry its mail elsewhere",
	}
	cmd.AddCommand(spoolCheckCommand(), spoolExportCommand(), spoolImportCommand())
	return cmd
}

func spoolCheckCommand() *cobra.Command {
	var data, output string
	var repair bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Read every octet of a spool and say what is wrong",
		Long: `Read every octet of a spool, compare it with what a spool may hold, and say what
is wrong. Nothing is changed. The node must not run on it.

With --repair, tables with blocks that cannot be read are healed first, as a node
does when it starts with those that it has met: what else they hold is kept, the
broken files go into the folder quarantine beside the store, with a record of what was lost,
and messages that lost a part are named below and set aside when the node meets them.

Exit code 0: all is well. 1: there are problems, or the spool cannot be opened.`,
		Example: "  postroad spool check --data /var/lib/postroad\n  postroad spool check --repair --data /var/lib/postroad",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output != "text" && output != "json" {
				return fmt.Errorf("-o %s: must be text or json", output)
			}
			dir := filepath.Join(data, "spool")
			if repair {
				if err := repairSpool(dir); err != nil {
					return err
				}
			}
			r, err := checkSpool(cmd.Context(), dir)
			if err != nil {
				return err
			}
			return r.print(cmd.OutOrStdout(), output)
		},
	}
	cmd.Flags().StringVar(&data, "data", "/var/lib/postroad", "the node's data folder")
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	cmd.Flags().BoolVar(&repair, "repair", false, "heal tables that cannot be read whole, first")
	return cmd
}

// repairSpool heals what can be healed of a spool that is there.
func repairSpool(dir string) error {
	if _, err := os.Stat(dir); err != nil {
		return err // it would be made
	}
	s, err := spool.Open(dir, spool.Options{Verify: true, Recipients: queue.Recipients})
	if err != nil {
		return err
	}
	return s.Close()
}

// spoolReport is what `spool check` prints.
type spoolReport struct {
	Spool string `json:"spool"`
	spool.Census
	Problems []spoolProblem `json:"problems"`
}

type spoolProblem struct {
	Message string `json:"message,omitempty"`
	Text    string `json:"text"`
}

var errSpoolProblems = errors.New("the spool has problems: the messages named above are not whole; all others are well")

func checkSpool(ctx context.Context, dir string) (spoolReport, error) {
	r := spoolReport{Spool: dir, Problems: []spoolProblem{}}
	s, err := spool.Open(dir, spool.Options{ReadOnly: true, Recipients: queue.Recipients})
	if err != nil {
		return r, err
	}
	r.Census, err = s.Check(ctx, func(p spool.Problem) {
		q := spoolProblem{Text: p.Text}
		if p.Message != (spool.ID{}) {
			q.Message = mail.ID(p.Message).String()
		}
		r.Problems = append(r.Problems, q)
	})
	return r, errors.Join(err, s.Close())
}

// printLedger gives the lines that are not zero: messages, then recipients.
func (r spoolReport) printLedger(w io.Writer) {
	if r.Ledger == nil {
		fmt.Fprintln(w, "no ledger: the node begins one when it starts")
		return
	}
	text := "ledger:"
	for _, l := range spool.Lines() {
		if t := r.Ledger[l.String()]; t != (spool.Tally{}) {
			text += fmt.Sprintf(" %s %d/%d", l, t.Messages, t.Recipients)
		}
	}
	fmt.Fprintln(w, text)
}

func (r spoolReport) print(w io.Writer, output string) error {
	if output == "json" {
		b, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s\n", b)
	} else {
		fmt.Fprintf(w, "%s: %d messages, %d of them not yet categorized, with %d recipients; %d queue entries; %d bodies of %d octets\n",
			r.Spool, r.Messages, r.Submitted, r.Recipients, r.Entries, r.Bodies, r.Octets)
		r.printLedger(w)
		if r.Orphans > 0 {
			fmt.Fprintf(w, "%d bodies that no message has: of mail that is finished, kept to be written again, or that was never acknowledged; the node deletes them when it starts\n", r.Orphans)
		}
		if r.Aside > 0 {
			fmt.Fprintf(w, "%d messages are set aside because they could not be read; see postroadctl queue quarantine\n", r.Aside)
		}
		for _, p := range r.Problems {
			if p.Message != "" {
				fmt.Fprintf(w, "message %s: ", p.Message)
			}
			fmt.Fprintln(w, p.Text)
		}
	}
	if len(r.Problems) > 0 {
		return errSpoolProblems
	}
	if output == "text" {
		fmt.Fprintln(w, "no problem found")
	}
	return nil
}
