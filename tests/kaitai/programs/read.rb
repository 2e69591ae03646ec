# Reads the files named on stdin with generated Ruby parsers, and writes what they give.
require_relative "meta"
require_relative "metrics"
require_relative "probe"

def text(read)
  read.nil? ? "-" : "x" + read.value.unpack1("H*")
end

$stdin.each_line do |line|
  kind, path = line.split
  stream = Kaitai::Struct::Stream.new(File.open(path, "rb"))
  begin
    if kind == "meta"
      m = Meta.new(stream)
      puts ["value", m.version, m.timestamp, *[m.commit_id, m.job_name, m.user].map { |t| text(t) }].join(" ")
    elsif kind == "probe"
      p = Probe.new(stream)
      puts ["value", p.magic, p.serial, text(p.note), p.default_field].join(" ")
    end
    while kind == "metrics" && !stream.eof?
      r = Metrics::Record.new(stream)
      puts ["value", r.timestamp, r.step, [r.value].pack("G").unpack1("H*"), text(r.name)].join(" ")
    end
    puts "end"
  rescue StandardError => error
    puts "end #{error.class.name.split('::').last}"
  end
end
