// SPDX-License-Identifier: MIT

// A client in Go, on nothing but what was generated from the interface description:
// listens for events, discovers, logs in, waits for the device, adds a connection, and
// logs out. Usage: client SOCKET HOST PORT TARGET. What happens goes to stdout, a line
// for each step; test_go.py reads it.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/varlink/go/varlink"
	"ioiscsidscinitiator"
)

const anyPort = 4294967295

type event struct {
	kind       string
	session    *string
	connection *string
	device     *ioiscsidscinitiator.Device
}

func check(what string, err error) {
	if err == nil {
		return
	}
	if s, ok := err.(*ioiscsidscinitiator.Status); ok {
		fmt.Printf("%s: 0x%08X %s: %s\n", what, s.Code, s.Name, s.Text)
	} else {
		fmt.Printf("%s: %v\n", what, err)
	}
	os.Exit(1)
}

func connect(ctx context.Context, socket string) *varlink.Connection {
	c, err := varlink.NewConnection(ctx, "unix:"+socket)
	check("connect", err)
	return c
}

// Sends what comes to the channel, until the connection is closed.
func listen(ctx context.Context, c *varlink.Connection, to chan<- event) {
	receive, err := ioiscsidscinitiator.Subscribe().Send(ctx, c, varlink.More)
	check("Subscribe", err)
	for {
		kind, _, session, connection, _, device, _, _, flags, err := receive(ctx)
		if err != nil || flags&varlink.Continues == 0 {
			close(to)
			return
		}
		to <- event{kind, session, connection, device}
	}
}

// What comes up to that kind is passed over.
func wait(events <-chan event, kind string) event {
	late := time.After(30 * time.Second)
	for {
		select {
		case e, ok := <-events:
			if !ok {
				check("wait for "+kind, fmt.Errorf("the service has ended the subscription"))
			}
			if e.kind == kind {
				fmt.Println("event", kind)
				return e
			}
		case <-late:
			check("wait for "+kind, fmt.Errorf("it does not come"))
		}
	}
}

func main() {
	socket, host, target := os.Args[1], os.Args[2], os.Args[4]
	port, err := strconv.ParseInt(os.Args[3], 10, 64)
	check("port", err)
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()

	c := connect(ctx, socket)
	major, minor, _, product, err := ioiscsidscinitiator.GetVersion().Call(ctx, c)
	check("GetVersion", err)
	fmt.Printf("version %d.%d %s\n", major, minor, product)

	events := make(chan event, 64)
	listener := connect(ctx, socket)
	go listen(ctx, listener, events)
	wait(events, "current")

	portal := ioiscsidscinitiator.Portal{Address: host, Socket: port}
	check("AddSendTargetPortal",
		ioiscsidscinitiator.AddSendTargetPortal().Call(ctx, c, nil, anyPort, nil, 0, portal))
	wait(events, "target-added")

	unknown := "iqn.2026-11.test.whole:nobody"
	_, _, err = ioiscsidscinitiator.Login().Call(ctx, c, unknown, false, nil, anyPort, nil, 0, nil, nil, false, nil)
	refusal, ok := err.(*ioiscsidscinitiator.Status)
	if !ok {
		check("login to nobody", fmt.Errorf("not refused: %v", err))
	}
	fmt.Println("refused", refusal.Name)

	many := int64(4)
	options := ioiscsidscinitiator.LoginOptions{InformationSpecified: 4, MaximumConnections: &many}
	session, connection, err := ioiscsidscinitiator.Login().Call(ctx, c, target, false, nil, anyPort, nil, 0,
		&options, nil, false, nil)
	check("Login", err)
	fmt.Println("session", session, "connection", connection)
	if e := wait(events, "session-up"); *e.session != session {
		check("session-up", fmt.Errorf("of %s", *e.session))
	}
	if e := wait(events, "device-added"); e.device == nil {
		check("device-added", fmt.Errorf("without the device"))
	}
	devices, err := ioiscsidscinitiator.ListDevices().Call(ctx, c, &session)
	check("ListDevices", err)
	fmt.Println("devices", len(devices), devices[0].State, devices[0].SizeBytes)

	second, err := ioiscsidscinitiator.AddConnection().Call(ctx, c, session, anyPort, nil, 0, nil, nil)
	check("AddConnection", err)
	if e := wait(events, "connection-up"); *e.connection != second {
		check("connection-up", fmt.Errorf("of %s, not %s", *e.connection, second))
	}

	check("Logout", ioiscsidscinitiator.Logout().Call(ctx, c, session))
	wait(events, "session-closed")
	sessions, err := ioiscsidscinitiator.ListSessions().Call(ctx, c)
	check("ListSessions", err)
	fmt.Println("sessions", len(sessions))
	check("close", listener.Close())
	check("close", c.Close())
}
