// Reads the files named on stdin with generated Go parsers, and writes what they give.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"

	"github.com/kaitai-io/kaitai_struct_go_runtime/kaitai"
)

func text(read *Meta_Text) string {
	if read == nil {
		return "-"
	}
	return fmt.Sprintf("x%x", read.Value)
}

func read(kind string, stream *kaitai.Stream) error {
	if kind == "meta" {
		m := NewMeta()
		if err := m.Read(stream, nil, m); err != nil {
			return err
		}
		fmt.Println("value", m.Version, m.Timestamp, text(m.CommitId), text(m.JobName), text(m.User))
	} else if kind == "probe" {
		p := NewProbe()
		if err := p.Read(stream, nil, p); err != nil {
			return err
		}
		fmt.Println("value", p.Magic, p.Serial, fmt.Sprintf("x%x", p.Note.Value), p.DefaultField)
	}
	for kind == "metrics" {
		if eof, err := stream.EOF(); eof || err != nil {
			return err
		}
		r := NewMetrics_Record()
		if err := r.Read(stream, nil, nil); err != nil {
			return err
		}
		bits := fmt.Sprintf("%016x", math.Float64bits(r.Value))
		fmt.Println("value", r.Timestamp, r.Step, bits, fmt.Sprintf("x%x", r.Name.Value))
	}
	return nil
}

func name(err error) string {
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return err.Error()
	}
	return strings.TrimPrefix(fmt.Sprintf("%T", err), "*")
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		kind, path, _ := strings.Cut(lines.Text(), " ")
		file, err := os.Open(path)
		if err != nil {
			panic(err)
		}
		if err := read(kind, kaitai.NewStream(file)); err != nil {
			fmt.Println("end", name(err))
		} else {
			fmt.Println("end")
		}
	}
}
