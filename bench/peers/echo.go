// A peer of `kecho-pool compare`: the obvious echo server in Go, with a goroutine per connection.
//
//	echo [--port P]      prints "listening PORT" once it is ready
package main

import (
	"flag"
	"fmt"
	"net"
	"os"
)

const bufferBytes = 64 * 1024

func serve(connection net.Conn) {
	defer connection.Close()
	buffer := make([]byte, bufferBytes)
	for {
		n, err := connection.Read(buffer)
		if n > 0 {
			if _, failed := connection.Write(buffer[:n]); failed != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func main() {
	port := flag.Int("port", 0, "port, 0 for any free one")
	flag.Parse()
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", *port))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("listening %d\n", listener.Addr().(*net.TCPAddr).Port)
	for {
		// A failed accept (no descriptors left) is retried; clients wait in the backlog.
		if connection, err := listener.Accept(); err == nil {
			go serve(connection)
		}
	}
}
