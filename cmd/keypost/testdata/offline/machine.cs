
// The test's own: a call a line.
static class Program
{
    static void Main()
    {
        for (string line; (line = Console.ReadLine()) != null;)
        {
            string[] call = line.Split('\t');
            Console.WriteLine(MachineCode.IsCodeOf(call[0], call[1], call[2], call[4], int.Parse(call[3])) ? "true" : "false");
        }
    }
}
