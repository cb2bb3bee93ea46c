package mail_test

import (
	"testing"

	"github.com/postroad/postroad/node/mail"
)

func TestParseNotify(t *testing.T) {
	const s, f, d, never = mail.NotifySuccess, mail.NotifyFailure, mail.NotifyDelay, mail.NotifyNever
	for text, want := range map[string]mail.Notify{
		"NEVER": never, "never": never, "SUCCESS": s, "Failure": f, "delay": d,
		"SUCCESS,FAILURE": s | f, "DELAY,SUCCESS,FAILURE": s | f | d, "failure,success": s | f,
		// Wrong.
		"": 0, ",": 0, "SUCCESS,": 0, ",SUCCESS": 0, "NEVER,SUCCESS": 0, "SUCCESS,NEVER": 0, "NEVER,NEVER": 0,
		"SUCCESS,SUCCESS": 0, "SUCCESS, FAILURE": 0, "ALWAYS": 0, "SUCCESS;FAILURE": 0, "FAILURES": 0,
		"\u017fuccess": 0, // which folds to SUCCESS
	} {
		got, err := mail.ParseNotify(text)
		if got != want || (err == nil) != (want != 0) {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
}
