import threading

from trial_reports import report

from redsm5.hpo.results import keep_result, publish
from redsm5.hpo.retention import trial_folder


def test_result_is_copied_up_once(tmp_path):
    folder = trial_folder(tmp_path, 3)
    won, lost = report(3, 0.5, run="trials/00003/attempt-2"), report(3, 0.25, run="trials/00003/attempt-1")
    keep_result(folder / "attempt-2", won, "seed: 1\n")
    assert not (folder / "report.json").exists()  # until the database has taken it
    publish(tmp_path, won)
    keep_result(folder / "attempt-1", lost, "seed: 2\n")  # of a worker that was stalled
    publish(tmp_path, won)
    assert (folder / "config.yaml").read_text() == "seed: 1\n"
    assert (folder / "report.json").read_text() == won.model_dump_json(indent=2) + "\n"


def test_result_of_another_machine_leaves_nothing_here(tmp_path):
    publish(tmp_path, report(3, 0.5, run="trials/00003/attempt-2"))
    assert list(tmp_path.iterdir()) == []


def test_result_is_copied_up_by_several_workers_at_once(tmp_path):
    folder = trial_folder(tmp_path, 3)
    won, failed = report(3, 0.5, run="trials/00003/attempt-2"), []
    keep_result(folder / "attempt-2", won, "seed: 1\n")

    def copy():
        try:
            for _ in range(50):
                publish(tmp_path, won)
                (folder / "report.json").unlink(missing_ok=True)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=copy) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    publish(tmp_path, won)
    assert sorted(path.name for path in folder.iterdir()) == ["attempt-2", "config.yaml", "report.json"]
