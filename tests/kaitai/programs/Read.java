// Reads the files named on stdin with generated Java parsers, and writes what they give.
import io.kaitai.struct.ByteBufferKaitaiStream;
import io.kaitai.struct.KaitaiStream;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.Scanner;

public class Read {
    static String hex(String text) {
        return hex(text.getBytes(StandardCharsets.UTF_8));
    }

    static String hex(byte[] data) {
        return "x" + HexFormat.of().formatHex(data);
    }

    static String text(Meta.Text read) {
        return read == null ? "-" : hex(read.value());
    }

    static void value(Object... parts) {
        StringBuilder line = new StringBuilder("value");
        for (Object part : parts) line.append(" ").append(part);
        System.out.println(line);
    }

    static void read(String kind, KaitaiStream stream) {
        if (kind.equals("meta")) {
            Meta m = new Meta(stream);
            value(m.version(), m.timestamp(), text(m.commitId()), text(m.jobName()), text(m.user()));
        } else if (kind.equals("probe")) {
            Probe p = new Probe(stream);
            value(p.magic(), p.serial(), hex(p.note().value()), p.defaultField());
        }
        while (kind.equals("metrics") && !stream.isEof()) {
            Metrics.Record r = new Metrics.Record(stream);
            String bits = String.format("%016x", Double.doubleToRawLongBits(r.value()));
            value(r.timestamp(), r.step(), bits, hex(r.name().value()));
        }
    }

    public static void main(String[] arguments) throws Exception {
        Scanner lines = new Scanner(System.in);
        while (lines.hasNext()) {
            String kind = lines.next();
            KaitaiStream stream = new ByteBufferKaitaiStream(lines.next());
            try {
                read(kind, stream);
                System.out.println("end");
            } catch (RuntimeException error) {
                System.out.println("end " + error.getClass().getSimpleName());
            }
        }
    }
}
