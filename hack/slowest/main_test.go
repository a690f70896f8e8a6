package main

import (
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	const in = `{"Action":"build-output","Output":"x.go:1: broken\n"}
{"Action":"output","Package":"a","Test":"TestFine","Output":"=== RUN   TestFine\n"}
{"Action":"output","Package":"a","Test":"TestFine","Output":"not shown\n"}
{"Action":"pass","Package":"a","Test":"TestFine","Elapsed":1.5}
{"Action":"output","Package":"a","Test":"TestBad/part","Output":"the reason\n"}
{"Action":"fail","Package":"a","Test":"TestBad/part","Elapsed":9}
{"Action":"fail","Package":"a","Test":"TestBad","Elapsed":20}
{"Action":"output","Package":"a","Output":"PASS\n"}
{"Action":"output","Package":"a","Output":"ok  \ta\t21.5s\n"}
{"Action":"pass","Package":"a","Elapsed":21.5}
`
	const want = `x.go:1: broken
the reason
ok  	a	21.5s
the slowest tests, in seconds:
    20.0  TestBad  a
     1.5  TestFine  a
`
	var out strings.Builder
	if err := report(strings.NewReader(in), &out); err != nil || out.String() != want {
		t.Errorf("%v\n%s\nwant\n%s", err, &out, want)
	}
	if err := report(strings.NewReader("no JSON"), &out); err == nil {
		t.Error("no error")
	}
}
