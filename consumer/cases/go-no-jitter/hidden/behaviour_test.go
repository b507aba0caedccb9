// Package behaviour measures the pauses of many senders.
package behaviour

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"shop.example/notify/internal/flags"
	"shop.example/notify/internal/push"
)

type gateway struct {
	mu    sync.Mutex
	calls []time.Time
}

func (g *gateway) Deliver(context.Context, string, string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls = append(g.calls, time.Now())
	return errors.New("busy")
}

func TestSendersDoNotComeBackTogether(t *testing.T) {
	set, err := flags.Load("../flags.json")
	if err != nil {
		t.Fatal(err)
	}
	const senders = 40
	all := make([]*gateway, senders)
	var group sync.WaitGroup
	for i := range all {
		all[i] = &gateway{}
		group.Add(1)
		go func() {
			defer group.Done()
			if push.New(all[i], set).Send(context.Background(), "d", "x") == nil {
				t.Error("a failure is told")
			}
		}()
	}
	group.Wait()
	low, high, total := time.Hour, time.Duration(0), time.Duration(0)
	for _, g := range all {
		if len(g.calls) < 2 || len(g.calls) > 4 {
			t.Fatalf("%d attempts", len(g.calls))
		}
		first := g.calls[1].Sub(g.calls[0])
		low, high = min(low, first), max(high, first)
		total += g.calls[len(g.calls)-1].Sub(g.calls[0])
	}
	if high-low < 60*time.Millisecond {
		t.Fatalf("all come back within %s of one another", high-low)
	}
	if total/senders < 150*time.Millisecond || total/senders > 3*time.Second {
		t.Fatalf("pauses of %s in all", total/senders)
	}
}
