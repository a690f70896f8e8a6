package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

func TestJournalPriorities(t *testing.T) {
	var out bytes.Buffer
	log := zerolog.New(journal{&out})
	log.Debug().Msg("a")
	log.Info().Msg("b")
	log.Warn().Msg("c")
	log.Error().Msg("d")
	log.Log().Msg("e")
	want := []string{`<7>{"level":"debug","message":"a"}`, `<6>{"level":"info","message":"b"}`, `<4>{"level":"warn","message":"c"}`, `<3>{"level":"error","message":"d"}`, `<7>{"message":"e"}`, ""}
	if got := out.String(); got != strings.Join(want, "\n") {
		t.Errorf("got\n%s", got)
	}
}
