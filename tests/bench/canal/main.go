// canal HOST:PORT USER PASSWORD DATABASE FILE POS ROWS TABLE...: go-mysql's canal from a place in the
// binlog, counting rows of these tables. Prints "first" at the first row and "end" at the last.
package main

import (
	"fmt"
	"os"
	"strconv"

	"github.com/go-mysql-org/go-mysql/canal"
	"github.com/go-mysql-org/go-mysql/mysql"
)

type counter struct {
	canal.DummyEventHandler
	rows, target int64
}

func (c *counter) OnRow(e *canal.RowsEvent) error {
	n := int64(len(e.Rows))
	if e.Action == canal.UpdateAction {
		n /= 2 // before and after
	}
	if c.rows == 0 {
		fmt.Println("first")
	}
	before := c.rows
	c.rows += n
	if before < c.target && c.rows >= c.target {
		fmt.Println("end", c.rows)
	}
	return nil
}

func (c *counter) String() string { return "counter" }

func number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

func main() {
	a := os.Args[1:]
	config := canal.NewDefaultConfig()
	config.Addr, config.User, config.Password = a[0], a[1], a[2]
	config.Flavor, config.ServerID = mysql.MariaDBFlavor, 5003
	config.Dump.ExecutionPath = "" // no mysqldump first
	for _, table := range a[7:] {
		config.IncludeTableRegex = append(config.IncludeTableRegex, "^"+a[3]+"\\."+table+"$")
	}
	c, err := canal.NewCanal(config)
	if err != nil {
		panic(err)
	}
	c.SetEventHandler(&counter{target: number(a[6])})
	panic(c.RunFrom(mysql.Position{Name: a[4], Pos: uint32(number(a[5]))}))
}
