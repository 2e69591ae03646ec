// Reads the files named on stdin with generated C# parsers, and writes what they give.
using System;
using System.IO;
using System.Text;
using Kaitai;

public static class Program
{
    static string Hex(string text) { return Hex(Encoding.UTF8.GetBytes(text)); }

    static string Hex(byte[] data) { return "x" + BitConverter.ToString(data).Replace("-", "").ToLower(); }

    static string Show(Meta.Text read) { return read == null ? "-" : Hex(read.Value); }

    static void Value(params object[] parts) { Console.WriteLine("value " + string.Join(" ", parts)); }

    static void Read(string kind, KaitaiStream stream)
    {
        if (kind == "meta")
        {
            var m = new Meta(stream);
            Value(m.Version, m.Timestamp, Show(m.CommitId), Show(m.JobName), Show(m.User));
        }
        else if (kind == "probe")
        {
            var p = new Probe(stream);
            Value(p.Magic, p.Serial, Hex(p.Note.Value), p.DefaultField);
        }
        while (kind == "metrics" && !stream.IsEof)
        {
            var r = new Metrics.Record(stream);
            var bits = BitConverter.DoubleToInt64Bits(r.Value).ToString("x16");
            Value(r.Timestamp, r.Step, bits, Hex(r.Name.Value));
        }
    }

    public static void Main()
    {
        string line;
        while ((line = Console.ReadLine()) != null)
        {
            var parts = line.Split(' ');
            try
            {
                Read(parts[0], new KaitaiStream(File.OpenRead(parts[1])));
                Console.WriteLine("end");
            }
            catch (Exception error)
            {
                Console.WriteLine("end " + error.GetType().Name);
            }
        }
    }
}
