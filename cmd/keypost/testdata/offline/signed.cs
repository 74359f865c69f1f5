
// The test's own: a call a line, what was sold a line.
static class Program
{
    static void Main(string[] args)
    {
        var input = new StreamReader(Console.OpenStandardInput(), new UTF8Encoding(false));
        var output = new StreamWriter(Console.OpenStandardOutput(), new UTF8Encoding(false));
        for (string line; (line = input.ReadLine()) != null;)
        {
            string[] call = line.Split('\t');
            try
            {
                Sold sold = Sold.ReadCode(args[0], call[0], call[1]);
                output.WriteLine("{0}|{1}|{2}|{3}|{4}", sold.Number, sold.LastDay, sold.Seats, sold.Edition, sold.Name);
            }
            catch (Exception)
            {
                output.WriteLine("refused");
            }
        }
        output.Flush();
    }
}
