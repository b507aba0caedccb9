// Package index speaks to the product index: one line of query, one line of JSON.
package index

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"time"
)

// Session answers one query at a time.
type Session interface {
	Query(words string, limit int) ([]string, error)
}

// Dial opens a session over TCP.
func Dial(address string, timeout time.Duration) (Session, error) {
	connection, err := net.DialTimeout("tcp", address, timeout)
	if err != nil {
		return nil, fmt.Errorf("index: %w", err)
	}
	return &session{connection: connection, lines: bufio.NewReader(connection), timeout: timeout}, nil
}

type session struct {
	connection net.Conn
	lines      *bufio.Reader
	timeout    time.Duration
}

// Query closes the session when it fails, because it is out of step then.
func (s *session) Query(words string, limit int) ([]string, error) {
	skus, err := s.ask(words, limit)
	if err != nil {
		s.connection.Close()
		return nil, fmt.Errorf("index: %w", err)
	}
	return skus, nil
}

func (s *session) ask(words string, limit int) ([]string, error) {
	if err := s.connection.SetDeadline(time.Now().Add(s.timeout)); err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintf(s.connection, "%d %s\n", limit, strings.Join(strings.Fields(words), " ")); err != nil {
		return nil, err
	}
	line, err := s.lines.ReadBytes('\n')
	if err != nil {
		return nil, err
	}
	var skus []string
	if err := json.Unmarshal(line, &skus); err != nil {
		return nil, err
	}
	return skus, nil
}
