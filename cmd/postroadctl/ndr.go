package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postroad/postroad/node/dsn/codes"
	"github.com/postroad/postroad/node/mail"
)

func ndrExplain(c *client) *cobra.Command {
	return &cobra.Command{
		Use:   "explain CODE",
		Short: "What a status code of a report means",
		Long: `What a status code of a non-delivery report means: to its sender, and to you.

The code is found in whatever you paste, such as "550 5.1.1 User unknown". No node is
asked. 'ndr list' prints all codes that have words of their own.`,
		Example: "  postroadctl ndr explain 5.4.4",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return needs("CODE")(cmd, args)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			status, ok := statusIn(args)
			if !ok {
				return fmt.Errorf("%q holds no status code; write one such as 5.1.1", strings.Join(args, " "))
			}
			code, ok := codes.Find(status)
			if !ok {
				return &failure{fmt.Errorf("%s: RFC 3463 has no subject %d; the server that gave it may know", status, status.Subject), exitNotFound}
			}
			return c.code(cmd.OutOrStdout(), status, code)
		},
	}
}

func ndrList(c *client) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "All status codes that have words of their own",
		Args:  needs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var rows [][]string
			var list []ndrCode
			for _, k := range codes.All() {
				rows = append(rows, []string{k.Status.String(), k.Cause})
				list = append(list, ndrOf(k.Status, k))
			}
			if c.format == "json" || c.format == "yaml" {
				return c.value(cmd.OutOrStdout(), list)
			}
			return c.table(cmd.OutOrStdout(), "CODE\tMEANING", rows)
		},
	}
}

// statusIn finds the first enhanced status code among words.
func statusIn(args []string) (mail.Status, bool) {
	for word := range strings.FieldsFuncSeq(strings.Join(args, " "), func(r rune) bool { return r != '.' && (r < '0' || r > '9') }) {
		if s, ok := mail.ParseStatus(strings.Trim(word, ".")); ok {
			return s, true
		}
	}
	return mail.Status{}, false
}

// ndrCode is a code for programs.
type ndrCode struct {
	Code  string `json:"code"`
	Words string `json:"words_of"` // the code whose words these are
	Cause string `json:"cause"`
	Cure  string `json:"cure"`
	Check string `json:"check"`
	Here  string `json:"here"`
}

func ndrOf(s mail.Status, k codes.Code) ndrCode {
	return ndrCode{s.String(), k.Status.String(), k.Cause, k.Cure, k.Check, k.Here}
}

func (c *client) code(w io.Writer, s mail.Status, k codes.Code) error {
	switch c.format {
	case "json", "yaml":
		return c.value(w, ndrOf(s, k))
	case "name":
		_, err := fmt.Fprintln(w, k.Status)
		return err
	}
	fmt.Fprintf(w, "%s  %s\n", s, kindOfCode(s))
	if s.Subject != k.Status.Subject || s.Detail != k.Status.Detail {
		fmt.Fprintf(w, "This detail has no words here; its subject, %s, means:\n", k.Status)
	}
	for _, p := range []struct{ title, text string }{
		{"What the sender reads", strings.TrimSpace(k.Cause + " " + k.Cure)},
		{"For the administrator", k.Check},
		{"When Postroad gives it", k.Here},
	} {
		fmt.Fprintf(w, "\n%s:\n", p.title)
		wrap(w, "  ", strings.ReplaceAll(p.text, "`", ""), 78)
	}
	return nil
}

func kindOfCode(s mail.Status) string {
	switch s.Class {
	case 2:
		return "success"
	case 4:
		return "for now: it is tried again"
	}
	return "for good: it is not tried again"
}

// value prints what is no message of the schema.
func (c *client) value(w io.Writer, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return c.document(w, b)
}

// wrap writes words into lines of a width.
func wrap(w io.Writer, indent, text string, width int) {
	line := indent
	for word := range strings.FieldsSeq(text) {
		if len(line) > len(indent) && len(line)+1+len(word) > width {
			fmt.Fprintln(w, line)
			line = indent
		}
		if len(line) > len(indent) {
			line += " "
		}
		line += word
	}
	fmt.Fprintln(w, line)
}
