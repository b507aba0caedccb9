package push

import (
	"context"
	"errors"
	"testing"

	"shop.example/notify/internal/flags"
)

type gateway struct{ fails, calls int }

func (g *gateway) Deliver(context.Context, string, string) error {
	g.calls++
	if g.calls <= g.fails {
		return errors.New("busy")
	}
	return nil
}

func TestASecondAttempt(t *testing.T) {
	set, err := flags.Load("../../flags.json")
	if err != nil {
		t.Fatal(err)
	}
	g := &gateway{fails: 1}
	if err := New(g, set).Send(context.Background(), "d1", "hello"); err != nil || g.calls != 2 {
		t.Fatal(err, g.calls)
	}
}
