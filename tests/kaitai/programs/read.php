<?php
// Reads the files named on stdin with generated PHP parsers, and writes what they give.
spl_autoload_register(function ($class) {
    $runtime = getenv("RUNTIME") . "/lib/" . str_replace("\\", "/", $class) . ".php";
    require_once str_starts_with($class, "Kaitai\\") ? $runtime : __DIR__ . "/$class.php";
});

function text($read) {
    return $read === null ? "-" : "x" . bin2hex($read->value());
}

function value(...$parts) {
    echo "value ", implode(" ", $parts), "\n";
}

error_reporting(E_ALL & ~E_NOTICE);
while (($line = fgets(STDIN)) !== false) {
    [$kind, $path] = explode(" ", trim($line));
    $stream = new \Kaitai\Struct\Stream(fopen($path, "rb"));
    try {
        if ($kind === "meta") {
            $m = new Meta($stream);
            value($m->version(), $m->timestamp(), text($m->commitId()), text($m->jobName()), text($m->user()));
        } elseif ($kind === "probe") {
            $p = new Probe($stream);
            value($p->magic(), $p->serial(), text($p->note()), $p->defaultField());
        } elseif (!$stream->isEof()) {
            class_exists("Metrics");  // loads the file, which has its record's class too
        }
        while ($kind === "metrics" && !$stream->isEof()) {
            $r = new \Metrics\Record($stream);
            value($r->timestamp(), $r->step(), bin2hex(pack("E", $r->value())), text($r->name()));
        }
        echo "end\n";
    } catch (\Throwable $error) {
        echo "end ", (new ReflectionClass($error))->getShortName(), "\n";
    }
}
